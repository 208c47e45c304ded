// Why a rollout was pushed up or down: its rewards and advantages beside those of its group.

import { plural, signed } from '/format.js'
import { html, nothing, svg } from '/library/lit-html.js'
import { verdict } from '/rollouts.js'

export function why({ row, group, algorithm, weights }, open) {
  return html`<aside class="why" aria-label="Why">
    <h2>Why it was pushed</h2><p class="muted">${algorithm}, step ${row.step}, ${plural(group.length, 'rollout')} of one question</p>
    <div class="reason accuracy-channel"><span class="amount accuracy">${signed(row.accuracy_advantage)}</span> accuracy advantage<p>${accuracyReason(row, group)}</p></div>
    <div class="reason efficiency-channel"><span class="amount efficiency">${signed(row.efficiency_advantage)}</span> efficiency advantage<p>${efficiencyReason(row, group, weights)}</p></div>
    <table class="group"><thead><tr><th>answer</th><th>calls</th><th>reward</th><th class="accuracy">acc.</th><th></th><th class="efficiency">eff.</th><th></th></tr></thead>
      <tbody>${group.map((other) => line(other, row, group, open))}</tbody></table>
  </aside>`
}

function accuracyReason(row, group) {
  if (row.accuracy_reward === null) return 'It was not graded, so nothing is learnt from it.'
  const rewards = graded(group).map(({ accuracy_reward }) => accuracy_reward)
  const mean = average(rewards)
  if (rewards.every((reward) => reward === rewards[0]))
    return `All of the group have a reward of ${row.accuracy_reward.toFixed(2)}: nothing to tell apart.`
  const right = group.filter(({ correct }) => correct === 1).length
  return `Its reward is ${row.accuracy_reward.toFixed(2)}, the group's mean ${mean.toFixed(2)}: ${right} of ${group.length} are right, this one is ${row.correct === 1 ? 'one of them' : 'not'}.`
}

function efficiencyReason(row, group, { efficiencyWeight }) {
  if (efficiencyWeight === 0) return 'This algorithm has no efficiency channel of its own.'
  const right = group.filter(({ correct }) => correct === 1)
  if (row.correct !== 1) return 'It is not right, and only right rollouts are compared by their calls.'
  if (right.length < 2) return 'It is the only right one of its group: nobody to compare with.'
  const mean = average(right.map(({ calls }) => calls))
  if (right.every(({ cost }) => cost === row.cost))
    return `All ${right.length} right ones made ${plural(row.calls, 'call')}: nothing to tell apart.`
  return `It made ${plural(row.calls, 'call')}; the ${right.length} right ones made ${mean.toFixed(1)} on average, so it is made ${row.efficiency_advantage > 0 ? 'likelier' : 'less likely'}.`
}

function line(other, row, group, open) {
  const widest = (name) => Math.max(1, ...group.map((each) => Math.abs(each[name] ?? 0)))
  return html`<tr data-id=${other.id} aria-current=${other.id === row.id} @click=${() => open(other.id)}>
    <td class=${verdict(other)} title=${other.answer ?? ''}>${other.answer ?? 'none'}</td><td>${other.calls}</td><td>${other.accuracy_reward?.toFixed(2) ?? '–'}</td>
    <td>${signed(other.accuracy_advantage)}</td><td>${bar(other.accuracy_advantage, widest('accuracy_advantage'), 'accuracy')}</td>
    <td>${signed(other.efficiency_advantage)}</td><td>${bar(other.efficiency_advantage, widest('efficiency_advantage'), 'efficiency')}</td></tr>`
}

/** A bar that extends to the right of the middle for positive values, to the left for negative ones. */
function bar(value, widest, channel) {
  if (value === null || value === undefined) return nothing
  const width = (Math.abs(value) / widest) * 25
  return html`<svg viewBox="0 0 52 12" preserveAspectRatio="none" aria-hidden="true">${svg`<line class="axis" x1="26" x2="26" y1="0" y2="12"/><rect class=${`bar-${channel}`} x=${value < 0 ? 26 - width : 26} y="2" width=${width} height="8" rx="1"/>`}</svg>`
}

function graded(group) {
  return group.filter(({ accuracy_reward }) => accuracy_reward !== null)
}

function average(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
