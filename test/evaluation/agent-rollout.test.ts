import { describe, expect, it } from 'vitest'
import { agentRollout } from '../../lib/evaluation/agent-rollout.js'
import { reportedOutcome } from '../../lib/rewards/reported-outcome.js'
import type { Agent } from '../../lib/rollout/agent.js'
import type { Task } from '../../lib/rollout/types.js'

const task: Task = { id: 'sum', messages: [{ role: 'user', content: '2 + 2?' }], answer: 4 }
const play = (agent: Agent, toolChoice: 'auto' | 'none' = 'auto') =>
  agentRollout(agent, { task, id: 'sum#0', toolChoice, signal: new AbortController().signal })

describe('agentRollout', () => {
  it('counts what the agent says it did', async () => {
    const rollout = await play(({ messages }) => ({
      answer: `I computed it. <answer>${messages.length * 4}</answer>`,
      toolCalls: [{ name: 'calculator', arguments: { expression: '2+2' }, milliseconds: 12, cost: 0.5 }],
      usage: { promptTokens: 20, completionTokens: 5 },
    }))
    expect(rollout).toMatchObject({
      finalAnswer: '4',
      wellFormed: true,
      end: 'answer',
      toolCalls: [{ name: 'calculator', outcome: 'ok', milliseconds: 12, cost: 0.5 }],
      usage: { promptTokens: 20, completionTokens: 5 },
    })
  })

  it('takes no answer from inside a thought', async () => {
    const answer = 'Perhaps <answer>5</answer>?</think>\n\n4'
    expect(await play(() => ({ answer, toolCalls: [] }))).toMatchObject({
      finalAnswer: '4',
      wellFormed: true,
    })
    expect(await play(() => ({ answer: '<think>4', toolCalls: [] }))).toMatchObject({
      finalAnswer: undefined,
      wellFormed: false,
    })
  })

  it('tells the agent all that training does, but where the trained policy is served', async () => {
    let told: unknown
    const signal = expect.any(AbortSignal)
    await play((context) => {
      told = { ...context }
      return { answer: '4', toolCalls: [] }
    }, 'none')
    expect(told).toEqual({ task, messages: task.messages, toolChoice: 'none', rolloutId: 'sum#0', signal })
  })

  it('takes the grade of an agent that grades itself', async () => {
    const right = await play(() => ({ correct: true, toolCalls: [] }))
    expect(right.outcome).toEqual({ correct: true })
    expect(reportedOutcome()(right, task)).toBe(true)
    const half = await play(() => ({ answer: '3', reward: 0.5, toolCalls: [] }))
    expect(half.finalAnswer).toBe('3')
    expect(reportedOutcome()(half, task)).toBe(0.5)
  })

  it('leaves ungraded what an agent that fails says nothing about', async () => {
    const rollout = await play(() => {
      throw new Error('database is down')
    })
    expect(rollout.failure).toBe('the agent failed: database is down')
    expect(rollout.finalAnswer).toBeUndefined()
  })

  it('refuses a reply of another form, and calls where none may be made', async () => {
    for (const [result, message] of [
      [{ answer: 4, toolCalls: [] }, 'outcome.answer: must be text, got 4'],
      [{ toolCalls: [] }, 'outcome: must be an object with correct, reward or answer, got { toolCalls: [] }'],
      [
        { answer: '4', toolcalls: [] },
        'outcome.toolcalls: must be left out (there is no such option; did you mean toolCalls?), got []',
      ],
      [{ answer: '4', toolCalls: [{}] }, 'outcome.toolCalls[0].name: must be text, got undefined'],
      [
        { answer: '4', toolCalls: [], usage: { promptTokens: 1 } },
        'outcome.usage.completionTokens: must be a number of at least 0, got undefined',
      ],
      [{ answer: '4' }, 'the agent must return toolCalls, which an evaluation counts'],
      ['4', "outcome: must be an object, got '4'"],
    ] as const) {
      await expect(play((() => result) as unknown as Agent)).rejects.toMatchObject({
        code: 'ERR_AGENT',
        message: expect.stringContaining(message),
      })
    }
    const disobedient: Agent = () => ({ answer: '4', toolCalls: [{ name: 'calculator' }] })
    await expect(play(disobedient, 'none')).rejects.toThrow("called calculator though toolChoice was 'none'")
    expect(await play(disobedient)).toMatchObject({ finalAnswer: '4' })
  })
})
