// The page: renders what the address asks for, whenever something has changed.

import { curveNames } from '/curves.js'
import { keys, listenForKeys, toggledTheme } from '/keys.js'
import { html, nothing, render } from '/library/lit-html.js'
import { drawCurves, overview } from '/overview.js'
import { loadRollouts, rollouts, staleList } from '/rollouts.js'
import { ask, chosenRuns, place, runOf, state } from '/state.js'

const themeKey = 'hdpo-theme'
let planned = false

/** Renders at most once per frame, however often it is called. */
function rerender() {
  if (planned) return
  planned = true
  requestAnimationFrame(() => {
    planned = false
    render(page(), document.body)
    if (place().page === 'overview') drawCurves()
  })
}

function page() {
  const { page: shown } = place()
  return html`${header(shown)}${notices()}${content(shown)}${help()}`
}

function content(shown) {
  if (!state.loaded) return nothing
  if (state.runs.length === 0) {
    return html`<main><div class="empty"><h2>No runs yet</h2><p>Nothing under <code>${state.root}</code> has a metrics.jsonl. Start one with <code>npx hdpo train train.yaml</code>; it will appear here.</p></div></main>`
  }
  return shown === 'rollouts' ? rollouts(rerender) : overview(rerender)
}

function header(shown) {
  const tab = (name, label) =>
    html`<a href=${`#/${name}`} aria-current=${shown === name ? 'page' : 'false'}>${label}</a>`
  const live = state.runs.filter((run) => run.live)
  return html`<header class="top">
    <span class="brand"><svg viewBox="0 0 16 16" aria-hidden="true" fill="none" stroke-width="2.6" stroke-linecap="round"><path d="M2 12 8 4" stroke="var(--accuracy)"/><path d="m8 4 6 8" stroke="var(--efficiency)"/></svg><span>hdpo</span></span>
    <nav aria-label="Pages">${tab('overview', 'Overview')}${tab('rollouts', 'Rollouts')}</nav>
    <span class="spacer"></span>
    <span class="live"><span class="dot ${live.length > 0 ? 'on' : ''}"></span><span class="text">${live.length > 0 ? `${live.map(({ id }) => id).join(', ')} training` : 'nothing training'}</span></span>
    <button class="plain" type="button" @click=${toggleTheme} aria-label="Light or dark">${toggledTheme() === 'dark' ? 'Dark' : 'Light'}</button>
    <button class="plain help" type="button" @click=${toggleHelp} aria-label="Keys">?</button>
  </header>`
}

function notices() {
  const indexing = state.runs.filter((run) => run.indexing)
  const broken = state.runs.filter((run) => run.error)
  return html`${state.error ? html`<div class="notice bad" role="alert">${state.error}</div>` : nothing}
    ${broken.map(({ id, error }) => html`<div class="notice bad" role="alert">${id}: ${error}</div>`)}
    ${
      indexing.length > 0
        ? html`<div class="notice" role="status">Indexing ${indexing.map(({ id, indexing: { done, total } }) => `${id}: ${done} of ${total} steps`).join(', ')}</div>`
        : nothing
    }`
}

function help() {
  return html`<dialog id="help"><strong>Keys</strong><dl>${keys.map(([key, what]) => html`<dt><kbd>${key}</kbd></dt><dd>${what}</dd>`)}</dl></dialog>`
}

function toggleHelp() {
  const dialog = document.querySelector('#help')
  if (dialog.open) dialog.close()
  else dialog.showModal()
}

function toggleTheme() {
  const next = toggledTheme()
  document.documentElement.dataset.theme = next
  localStorage.setItem(themeKey, next)
  rerender()
}

/** Loads the series of the chosen runs: all steps at first, later only new ones. A resumed run is loaded again from its beginning. */
async function loadSeries() {
  await Promise.all(
    chosenRuns().map(async (run) => {
      const before = state.series.get(run)
      const last = before?.lastStep ?? 0
      const { series, lastStep } = await ask('/api/series', { run, names: curveNames.join(','), after: last })
      if (lastStep < last) {
        state.series.delete(run)
        return loadSeries()
      }
      if (before) {
        for (const name of curveNames) {
          before[name].steps.push(...series[name].steps)
          before[name].values.push(...series[name].values)
        }
        before.lastStep = lastStep
      } else state.series.set(run, { ...series, lastStep })
    }),
  )
}

let loading = Promise.resolve()

/** Loads run one after the other: two that overlap would add the same steps twice. */
function load() {
  loading = loading.then(loadShown)
  return loading
}

async function loadShown() {
  try {
    if (place().page === 'rollouts') await loadRollouts(rerender)
    else await loadSeries()
    state.error = undefined
  } catch (error) {
    state.error = error.message
  }
  rerender()
}

function listenForChanges() {
  const events = new EventSource('/api/events')
  events.addEventListener('runs', (event) => {
    const configs = new Map(state.runs.map(({ id, config }) => [id, config]))
    const before = JSON.stringify(state.runs.find(({ id }) => id === runOf(place().query))?.rollouts)
    state.runs = JSON.parse(event.data).map((run) => ({ ...run, config: configs.get(run.id) }))
    const now = JSON.stringify(state.runs.find(({ id }) => id === runOf(place().query))?.rollouts)
    if (before !== now) staleList()
    load()
  })
  events.addEventListener('error', () => {
    state.error = 'The server does not answer; trying again.'
    rerender()
  })
  events.addEventListener('open', () => {
    state.error = undefined
    rerender()
  })
}

const kept = localStorage.getItem(themeKey)
if (kept) document.documentElement.dataset.theme = kept
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', rerender)
addEventListener('hashchange', load)
listenForKeys({ rerender, toggleTheme, toggleHelp })
rerender()
try {
  Object.assign(state, await ask('/api/runs'), { loaded: true })
  await load()
  listenForChanges()
} catch (error) {
  state.error = error.message
  rerender()
}
