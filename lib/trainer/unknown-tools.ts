// A policy that was taught other tools than those it is given calls in vain, and training would go on without a word.
import type { Rollout } from '../rollout/types.js'
import type { Tool } from '../tools/types.js'

/** What to warn of where no call of a step names a tool that there is. */
export function allUnknown(
  rollouts: readonly Pick<Rollout, 'toolCalls'>[],
  tools: readonly Tool[],
): string | undefined {
  const calls = rollouts.flatMap(({ toolCalls }) => toolCalls)
  if (calls.length === 0 || calls.some(({ outcome }) => outcome !== 'unknown-tool')) return undefined
  const called = [...new Set(calls.map(({ name }) => JSON.stringify(name)))]
  const more = called.length > 5 ? ', ...' : ''
  const names = tools.map(({ name }) => name).join(', ') || 'none'
  return `all ${calls.length} calls were of tools that there are not (${called.slice(0, 5).join(', ')}${more}); tools: ${names}`
}
