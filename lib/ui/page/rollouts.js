// The rollout browser: the list that was found, one open rollout, and why it was pushed up or down.

import { count, plural, signed } from '/format.js'
import { why } from '/group.js'
import { html, nothing } from '/library/lit-html.js'
import { reading } from '/rollout.js'
import { ask, go, place, runOf, state } from '/state.js'

const pageSize = 60
const filters = ['search', 'step', 'correct', 'calls', 'task']

export function rollouts(rerender) {
  const { query } = place()
  const run = runOf(query)
  return html`<main class="rollouts">
    <section class="list" aria-label="Rollouts">${filterForm(run, query)}${found()}${items(run, query, rerender)}</section>
    ${state.rollout ? reading(state.rollout, rerender) : html`<section class="reading"><p class="empty">${state.list.rows.length > 0 ? 'Choose a rollout.' : ''}</p></section>`}
    ${state.rollout ? why(state.rollout, open) : html`<aside class="why"></aside>`}
  </main>`
}

export function open(id) {
  go('rollouts', { id }, { replace: true })
}

/** Loads what the address asks for, if it has changed. Answers to an older request are dropped. */
export async function loadRollouts(rerender) {
  const { query } = place()
  const run = runOf(query)
  if (run === undefined) return
  const key = listKey(run, query)
  if (key !== state.list.key) {
    const wanted = {
      run,
      limit: pageSize,
      ...Object.fromEntries(filters.map((name) => [name, query.get(name) ?? ''])),
    }
    state.list = { ...state.list, key }
    const answer = await ask('/api/rollouts', wantedCalls(wanted))
    if (state.list.key !== key) return
    state.list = { key, ...answer }
  }
  const id = Number(query.get('id') ?? state.list.rows[0]?.id ?? 0)
  if (id > 0 && (state.rollout?.row.id !== id || state.rollout.run !== run)) {
    state.wanted = id
    const rollout = await ask('/api/rollout', { run, id })
    if (state.wanted !== id) return
    state.rollout = { ...rollout, run }
    state.focusedToken = undefined
  } else if (id === 0) state.rollout = undefined
  rerender()
  document.querySelector('.items [aria-current="true"]')?.scrollIntoView({ block: 'nearest' })
}

/** Marks the list as out of date, because the run has gone on. */
export function staleList() {
  state.list = { ...state.list, key: '' }
}

/** Opens the rollout before or after the open one in the list. */
export function move(by) {
  const at = state.list.rows.findIndex(({ id }) => id === state.rollout?.row.id)
  const next = state.list.rows[Math.max(0, at + by)]
  if (next) open(next.id)
}

/** Opens the rollout before or after the open one in its group. */
export function moveInGroup(by) {
  const group = state.rollout?.group ?? []
  const at = group.findIndex(({ id }) => id === state.rollout?.row.id)
  const next = group[at + by]
  if (next) open(next.id)
}

function listKey(run, query) {
  return JSON.stringify([run, ...filters.map((name) => query.get(name) ?? '')])
}

function wantedCalls({ calls, ...rest }) {
  return calls === '3+' ? { ...rest, minimumCalls: 3 } : { ...rest, calls }
}

function filterForm(run, query) {
  const set = (name) => (event) =>
    go('rollouts', { [name]: event.target.value.trim(), id: '' }, { replace: true })
  const select = (
    name,
    label,
    choices,
    width,
  ) => html`<select class=${width} aria-label=${label} .value=${query.get(name) ?? ''} @change=${set(name)}>
    ${choices.map(([value, text]) => html`<option value=${value} ?selected=${value === (query.get(name) ?? '')}>${text}</option>`)}</select>`
  return html`<form class="filters" @submit=${(event) => event.preventDefault()}>
    <input class="wide" id="search" type="search" placeholder="Search all rollouts" aria-label="Search" autocomplete="off" .value=${query.get('search') ?? ''} @input=${set('search')}>
    <select class="half" aria-label="Run" @change=${(event) => go('rollouts', { run: event.target.value, id: '', step: '', task: '' }, { replace: true })}>
      ${state.runs.map(({ id }) => html`<option value=${id} ?selected=${id === run}>${id}</option>`)}</select>
    <input class="half" inputmode="numeric" pattern="[0-9]*" placeholder="Any step" aria-label="Step" .value=${query.get('step') ?? ''} @change=${set('step')}>
    ${select(
      'correct',
      'Right or wrong',
      [
        ['', 'Right or wrong'],
        ['true', 'Right'],
        ['false', 'Wrong'],
      ],
      'half',
    )}
    ${select(
      'calls',
      'Number of calls',
      [
        ['', 'Any calls'],
        ['0', 'No call'],
        ['1', '1 call'],
        ['2', '2 calls'],
        ['3+', '3 or more'],
      ],
      'half',
    )}
    ${query.get('task') ? html`<button class="plain wide" type="button" @click=${() => go('rollouts', { task: '', id: '' }, { replace: true })}>question ${query.get('task')} ✕</button>` : nothing}
  </form>`
}

function found() {
  const { rows, count: total, milliseconds } = state.list
  return html`<div class="found" role="status"><span>${plural(total, 'rollout')}</span><span>${rows.length > 0 ? `${milliseconds.toFixed(milliseconds < 10 ? 1 : 0)} ms` : ''}</span></div>`
}

function items(run, query, rerender) {
  const { rows, count: total } = state.list
  const more = async () => {
    const { key } = state.list
    const wanted = {
      run,
      limit: pageSize,
      after: rows.at(-1).id,
      ...Object.fromEntries(filters.map((name) => [name, query.get(name) ?? ''])),
    }
    const answer = await ask('/api/rollouts', wantedCalls(wanted))
    if (state.list.key !== key) return
    state.list = { ...state.list, rows: [...rows, ...answer.rows] }
    rerender()
  }
  return html`<ul class="items">
    ${rows.map(
      (
        row,
      ) => html`<li><button type="button" aria-current=${row.id === state.rollout?.row.id} @click=${() => open(row.id)}>
      <span class="question">${row.question}</span>
      <span class="line"><span class="answer ${verdict(row)}">${row.answer ?? 'no answer'}</span>
        <span>${row.calls === 0 ? 'no call' : plural(row.calls, 'call')}</span>
        <span class="accuracy" title="accuracy advantage">${signed(row.accuracy_advantage)}</span>
        <span class="efficiency" title="efficiency advantage">${signed(row.efficiency_advantage)}</span>
        <span>${count(row.step)}</span></span></button></li>`,
    )}
    ${rows.length < total ? html`<li><button class="more" type="button" @click=${more}>${count(total - rows.length)} more</button></li>` : nothing}
  </ul>`
}

export function verdict({ correct }) {
  return correct === null ? 'muted' : correct === 1 ? 'right' : 'wrong'
}
