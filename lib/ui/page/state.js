// The page's state, and its requests to the server. The address holds what is looked at, so that it can be shared and reloaded.

export const runColours = 6

export const state = {
  root: '',
  runs: [],
  /** Run -> name -> { steps, values }. */
  series: new Map(),
  error: undefined,
  loaded: false,
  smoothing: 0.6,
  list: { key: '', rows: [], count: 0, milliseconds: 0 },
  rollout: undefined,
  tint: 'doubt',
  focusedToken: undefined,
}

/** '#/rollouts?run=seed1&id=7' -> { page: 'rollouts', query } */
export function place() {
  const [path, query = ''] = location.hash.replace(/^#\/?/, '').split('?')
  return { page: path === 'rollouts' ? 'rollouts' : 'overview', query: new URLSearchParams(query) }
}

/** Changes parts of the address; an undefined or empty value removes the name. */
export function go(page, changes, { replace = false } = {}) {
  const query = page === place().page ? place().query : new URLSearchParams()
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined || value === '') query.delete(name)
    else query.set(name, String(value))
  }
  const address = `#/${page}${query.size > 0 ? `?${query}` : ''}`
  if (replace) {
    history.replaceState(null, '', address)
    dispatchEvent(new HashChangeEvent('hashchange'))
  } else location.hash = address
}

export async function ask(path, parameters = {}) {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== '')
  const response = await fetch(`${path}?${new URLSearchParams(given)}`)
  const body = await response.json()
  if (!response.ok) throw new Error(body.error?.message ?? `status ${response.status}`)
  return body
}

/** Ids of the runs to compare: those in the address, or the first run. */
export function chosenRuns() {
  const wanted = place().query.get('runs')
  const known = new Set(state.runs.map(({ id }) => id))
  if (wanted !== null)
    return wanted
      .split(',')
      .map(decodeURIComponent)
      .filter((id) => known.has(id))
  const first = state.runs.find(({ live }) => live) ?? state.runs[0]
  return first ? [first.id] : []
}

export function runOf(query) {
  const id = query.get('run')
  return state.runs.some((run) => run.id === id) ? id : (chosenRuns()[0] ?? state.runs[0]?.id)
}

/** A run keeps its colour, whichever others are chosen. */
export function colourOf(id) {
  return state.runs.findIndex((run) => run.id === id) % runColours
}

export function theme() {
  const set = document.documentElement.dataset.theme
  if (set) return set
  return matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'
}
