import { describe, expect, it } from 'vitest'
import { agentRollout, type EvaluatedAgent } from '../../lib/evaluation/agent-rollout.js'
import type { Task } from '../../lib/rollout/types.js'

const task: Task = { id: 'sum', messages: [{ role: 'user', content: '2 + 2?' }], answer: 4 }
const play = (agent: EvaluatedAgent, toolChoice: 'auto' | 'none' = 'auto') =>
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

  it('leaves ungraded what an agent that fails says nothing about', async () => {
    const rollout = await play(() => {
      throw new Error('database is down')
    })
    expect(rollout.failure).toBe('the agent failed: database is down')
    expect(rollout.finalAnswer).toBeUndefined()
  })

  it('refuses a reply of another form, and calls where none may be made', async () => {
    await expect(
      play((() => ({ answer: 4, toolCalls: [] })) as unknown as EvaluatedAgent),
    ).rejects.toMatchObject({
      code: 'ERR_AGENT',
      message: expect.stringContaining('reply.answer'),
    })
    const disobedient: EvaluatedAgent = () => ({ answer: '4', toolCalls: [{ name: 'calculator' }] })
    await expect(play(disobedient, 'none')).rejects.toThrow("called calculator though toolChoice was 'none'")
    expect(await play(disobedient)).toMatchObject({ finalAnswer: '4' })
  })
})
