// The curves of the chosen runs, and where each run stands.

import { draw, forgetGone, linesOf } from '/charts.js'
import { curves } from '/curves.js'
import { count, percent, short } from '/format.js'
import { html, nothing, svg } from '/library/lit-html.js'
import { chosenRuns, colourOf, go, state } from '/state.js'

export function overview(rerender) {
  const chosen = chosenRuns()
  const shown = curves
    .map((curve) => ({ curve, lines: linesOf(curve, chosen) }))
    .filter(({ lines }) => lines.length > 0)
  return html`<main class="overview">
    ${sidebar(chosen, rerender)}
    <div class="content">
      ${chosen.length === 0 ? html`<p class="empty">Choose a run.</p>` : nothing}
      ${chosen.length > 0 ? tiles(chosen) : nothing}
      <div class="charts">${shown.map(({ curve, lines }) => chartBox(curve, lines, chosen))}</div>
    </div>
  </main>`
}

/** Draws the curves; the page must have been rendered before. */
export function drawCurves() {
  const chosen = chosenRuns()
  for (const curve of curves) {
    const element = document.querySelector(`.plot[data-curve="${CSS.escape(curve.title)}"]`)
    const lines = linesOf(curve, chosen)
    if (element && lines.length > 0)
      draw(element, curve, lines, (index, data) => legend(element, curve, lines, index, data))
  }
  forgetGone()
}

function sidebar(chosen, rerender) {
  const toggle = (id) => {
    const next = chosen.includes(id) ? chosen.filter((other) => other !== id) : [...chosen, id]
    go(
      'overview',
      { runs: next.length === 0 ? ' ' : next.map(encodeURIComponent).join(',') },
      { replace: true },
    )
  }
  return html`<aside class="side">
    <h2>Runs</h2>
    <ul class="runs">${state.runs.map(
      (run) => html`<li><label title=${run.id}>
      <input type="checkbox" .checked=${chosen.includes(run.id)} @change=${() => toggle(run.id)}>
      <span class="swatch" data-run=${chosen.length > 1 || !chosen.includes(run.id) ? colourOf(run.id) : 0}></span>
      <span class="name">${run.id}</span>
      <span class="facts">${run.live ? html`<span class="dot on"></span> ` : nothing}step ${count(run.lastStep)}</span>
    </label></li>`,
    )}</ul>
    <label class="field"><span>Smoothing <b>${state.smoothing}</b></span>
      <input type="range" min="0" max="0.95" step="0.05" .value=${String(state.smoothing)} aria-label="Smoothing"
        @input=${(event) => {
          state.smoothing = Number(event.target.value)
          rerender()
        }}></label>
    ${chosen.map((id) => {
      const config = state.runs.find((run) => run.id === id)?.config
      return config
        ? html`<details class="config"><summary>${id}: config.yaml</summary><pre>${config}</pre></details>`
        : nothing
    })}
  </aside>`
}

const tileMetrics = [
  { label: 'Accuracy', names: ['accuracy'], format: percent, channel: 'accuracy' },
  { label: 'Calls per rollout', names: ['callsPerRollout'], format: short, channel: 'efficiency' },
  {
    label: 'Redundant calls',
    names: ['evaluation/redundantCallRate'],
    format: percent,
    channel: 'efficiency',
  },
  { label: 'Needed calls', names: ['evaluation/neededCallRate'], format: percent, channel: 'accuracy' },
  { label: 'Qualifying ratio', names: ['qualifyingRatio'], format: percent, channel: 'efficiency' },
  { label: 'Tokens / second', names: ['tokensPerSecond'], format: short },
]

/** Tiles of the first chosen run: the mean of its last steps beside that of its first. */
function tiles([id, ...others]) {
  const data = state.series.get(id)
  if (!data?.accuracy?.values.length) return nothing
  return html`<section class="tiles" aria-label=${`Where ${id} stands`}>${tileMetrics.map(
    ({ label, names: [name], format, channel }) => {
      const values = data[name]?.values ?? []
      const span = name.startsWith('evaluation') ? 1 : 5
      const start = mean(values.slice(0, span))
      const now = mean(values.slice(-span))
      return html`<div class="tile"><span class="label">${label}</span>
      <div class="value ${channel ?? ''}">${format(now)}</div>
      <div class="from">${values.length > span ? `from ${format(start)}` : html`&nbsp;`}${others.length > 0 ? ` · ${id}` : ''}</div></div>`
    },
  )}</section>`
}

function mean(values) {
  return values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0) / values.length
}

function chartBox(curve, lines, chosen) {
  return html`<section class="chart"><h3>${curve.title}${curve.unit ? html` <span class="muted">${curve.unit}</span>` : nothing}</h3>
    <div class="legend">${lines.map(
      (line, index) => html`<span class="item" title=${line.run}>${mark(line)}
      ${chosen.length > 1 && lines.filter(({ run }) => run === line.run).length === 1 ? line.run : line.label}
      <b data-line=${index} .textContent=${value(curve, line.values.at(-1))}></b></span>`,
    )}</div>
    <div class="plot" data-curve=${curve.title} role="img" aria-label=${`${curve.title} by step`}></div></section>`
}

function mark({ colour, dash }) {
  return html`<svg viewBox="0 0 14 4" aria-hidden="true">${svg`<line x1="0" x2="14" y1="2" y2="2" stroke=${`var(${colour})`} stroke-width="2" stroke-dasharray=${dash.join(' ') || 'none'} />`}</svg>`
}

const value = (curve, number) => (curve.share ? percent(number) : short(number))

/** Called on every move of the cursor, so it only writes texts and renders nothing. */
function legend(element, curve, lines, index, data) {
  for (const field of element.parentElement.querySelectorAll('[data-line]')) {
    const line = Number(field.dataset.line)
    const column = data[1 + lines.length + line]
    field.textContent = value(
      curve,
      (index === undefined ? undefined : column?.[index]) ?? lines[line]?.values.at(-1),
    )
  }
}
