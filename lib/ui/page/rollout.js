// One rollout: the conversation as people read it, and the tokens that the policy was trained on.

import { plural, signed } from '/format.js'
import { html, nothing } from '/library/lit-html.js'
import { verdict } from '/rollouts.js'
import { go, state } from '/state.js'

const tints = [
  ['doubt', 'logprob'],
  ['accuracy', 'accuracy'],
  ['efficiency', 'efficiency'],
]

export function reading(rollout, rerender) {
  const { row, messages, sequences, toolCalls } = rollout
  const set = (tint) => () => {
    state.tint = tint
    rerender()
  }
  return html`<section class="reading" aria-label="Rollout">
    <div class="head"><h1>${row.question}</h1></div>
    <div class="facts">
      <span class=${verdict(row)}>${row.correct === null ? `not graded: ${row.ungraded ?? ''}` : row.correct === 1 ? 'right' : 'wrong'}</span>
      <span>${plural(row.calls, 'call')}</span><span>${plural(row.sampled_tokens, 'sampled token')}</span>
      <span>step ${row.step}</span><span>${row.name}</span>
      <a class="muted" href="#" @click=${(event) => {
        event.preventDefault()
        go('rollouts', { task: row.task, step: '', id: row.id }, { replace: true })
      }}>this question in all steps</a>
    </div>
    ${conversation(messages, toolCalls)}
    <div class="section"><h2>Tokens</h2>
      <div class="tints" role="group" aria-label="Tint">${tints.map(([name, label]) => html`<button type="button" aria-pressed=${state.tint === name} @click=${set(name)}>${label}</button>`)}</div>
      ${scale()}</div>
    ${sequences.length === 0 ? html`<p class="muted">Not kept: a text of this rollout held a secret.</p>` : sequences.map((tokens, index) => tokenBox(tokens, index, rollout, rerender))}
    ${fact(rollout)}
  </section>`
}

function conversation(messages, toolCalls) {
  const calls = [...toolCalls]
  return messages.map(
    ({ role, content, name, toolCalls: made = [] }) => html`<div class="message ${role}">
    <span class="role">${role === 'tool' && name ? name : role === 'assistant' ? 'policy' : role}</span>
    <div>${content ? html`<div class="text">${content}</div>` : nothing}
      ${made.map(({ name: tool, arguments: given }) => call(tool, given, calls.shift()))}</div></div>`,
  )
}

function call(name, given, record) {
  const shown = typeof given === 'string' ? given : JSON.stringify(given)
  return html`<div class="call">${name} ${shown}${record ? html`<span class="outcome ${record.outcome === 'ok' ? '' : 'bad'}">${record.outcome} · ${record.milliseconds < 10 ? record.milliseconds.toFixed(1) : Math.round(record.milliseconds)} ms</span>` : nothing}</div>`
}

function scale() {
  const label = {
    doubt: ['certain', 'unlikely'],
    accuracy: ['no push', 'strong push'],
    efficiency: ['no push', 'strong push'],
  }[state.tint]
  return html`<span class="scale">${label[0]}&nbsp;${[0, 1, 2, 3, 4, 5, 6].map((strength) => html`<i data-tint=${state.tint} data-strength=${strength}></i>`)}${label[1]}${state.tint === 'doubt' ? nothing : html`<span class="legend-down"><span data-way="down">dotted</span> made less likely</span>`}</span>`
}

function tokenBox(tokens, sequence, { sequences }, rerender) {
  const focus = (index) => () => {
    state.focusedToken = { sequence, index }
    rerender()
  }
  return html`${sequences.length > 1 ? html`<p class="muted">sequence ${sequence + 1} of ${sequences.length}</p>` : nothing}
    <div class="tokens">${tokens.map((token, index) =>
      token.logprob === undefined
        ? html`<span class="given">${token.text}</span>`
        : html`<span class="sampled" tabindex="-1" data-tint=${state.tint} data-strength=${strength(token)} data-way=${way(token)} @mouseenter=${focus(index)} @focus=${focus(index)}>${token.text}</span>`,
    )}</div>`
}

/** Shade of a token, 0 to 6; a logprob of -3 (5%) or a weight of 2 has the strongest. */
function strength(token) {
  const value =
    state.tint === 'doubt'
      ? -token.logprob / 3
      : Math.abs(token[state.tint]) / (state.tint === 'accuracy' ? 2 : 0.3)
  return value === 0 ? 0 : Math.min(6, Math.ceil(Math.sqrt(value) * 6 - 0.2))
}

function way(token) {
  return state.tint !== 'doubt' && token[state.tint] < 0 ? 'down' : 'up'
}

function fact({ sequences, ratios, weights }) {
  const token = sequences[state.focusedToken?.sequence]?.[state.focusedToken.index]
  if (!token || token.logprob === undefined) {
    return html`<p class="token-fact"><span>${ratios ? 'Gradient weight: channel weight × advantage × ratio, 0 where clipped.' : 'Gradient weight: channel weight × advantage, as at the first update of the step (ratio 1).'} Point at a token for its numbers.</span></p>`
  }
  return html`<p class="token-fact"><code>${JSON.stringify(token.text)}</code><span>probability ${(100 * Math.exp(token.logprob)).toPrecision(3)}%</span><span>logprob ${token.logprob.toFixed(4)}</span>
    ${token.ratio === undefined ? nothing : html`<span>ratio ${token.ratio.toFixed(3)}</span>`}
    <span class="accuracy">accuracy ${signed(token.accuracy, 3)} (weight ${weights.accuracyWeight})</span><span class="efficiency">efficiency ${signed(token.efficiency, 3)} (weight ${weights.efficiencyWeight})</span></p>`
}
