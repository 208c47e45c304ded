import { describe, expect, it } from 'vitest'
import { HdpoError } from '../../lib/core/errors.js'
import type { ProgressReport } from '../../lib/core/progress.js'
import {
  EndedEvaluation,
  type EvaluateOptions,
  evaluate,
  measureKnown,
} from '../../lib/evaluation/evaluate.js'
import { runGroup } from '../../lib/rollout/group.js'
import { refuses } from '../core/wrong-options.js'
import { lookup, rightIf42, tasks } from '../trainer/scripted-environment.js'
import { ScriptedPolicy } from '../trainer/scripted-policy.js'

// A policy that knows the answers to questions 0 to 2 by heart, guesses 3 right half of the time, and calls on
// every question but 0 and 5.
function knowledgeablePolicy(): ScriptedPolicy {
  const policy = new ScriptedPolicy()
  policy.say = (conversation, draw, mayCall) => {
    const question = Number(/question (\d+)/.exec(conversation)?.[1])
    const looked = conversation.includes('tool:')
    if (!looked && mayCall && question !== 0 && question !== 5) {
      return '<tool_call>{"name": "lookup", "arguments": {}}</tool_call>'
    }
    const knows = looked || question < 3 || (question === 3 && draw < 0.5)
    return `<answer>${knows ? 42 : 'no idea'}</answer>`
  }
  return policy
}

const asking = (policy: ScriptedPolicy) => ({ policy, tasks: tasks(6), tools: [lookup], reward: rightIf42 })

describe('measureKnown', () => {
  it('calls known what is right every time, needed what never is', async () => {
    const knowledge = await measureKnown({ ...asking(knowledgeablePolicy()), samples: 8 })
    expect([...knowledge.known]).toEqual(['task-0', 'task-1', 'task-2'])
    expect([...knowledge.needed]).toEqual(['task-4', 'task-5'])
    const half = knowledge.rightShare.get('task-3') as number
    expect(half).toBeGreaterThan(0)
    expect(half).toBeLessThan(1)
  })
})

describe('evaluate', () => {
  it('asks no further question where every request is refused, and keeps what was measured', async () => {
    const { policy, ...rest } = asking(knowledgeablePolicy())
    let asked = 0
    const ended = await evaluate({
      ...rest,
      play: async (task, options) => {
        if (++asked > 3) throw new HdpoError('ERR_ENDPOINT', 'the endpoint refuses every request: HTTP 402')
        return runGroup(policy, task, [lookup], options)
      },
      concurrency: 1,
    }).catch((error: unknown) => error)
    expect(asked).toBe(4)
    expect(ended).toBeInstanceOf(EndedEvaluation)
    const { code, message, measured } = ended as EndedEvaluation
    expect({ code, message }).toEqual({
      code: 'ERR_ENDPOINT',
      message: 'the endpoint refuses every request: HTTP 402',
    })
    expect(measured.groups.map((group) => group.map(({ taskId }) => taskId))).toEqual([
      ['task-0'],
      ['task-1'],
      ['task-2'],
    ])
    expect(measured.summary).toMatchObject({ questions: 3, rollouts: 3, accuracy: 1 })
  })

  it('reports accuracy, calls and the call rates', async () => {
    const knowledge = {
      known: new Set(['task-0', 'task-1', 'task-2']),
      needed: new Set(['task-4', 'task-5']),
      rightShare: new Map<string, number>(),
      samples: 8,
    }
    const told: ProgressReport[] = []
    const onProgress = (progress: ProgressReport) => told.push(progress)
    const { summary, groups } = await evaluate({
      ...asking(knowledgeablePolicy()),
      samples: 2,
      knowledge,
      onProgress,
    })
    expect(told).toEqual([1, 2, 3, 4, 5, 6].map((done) => ({ done, total: 6 })))
    expect(groups.map((group) => group.length)).toEqual([2, 2, 2, 2, 2, 2])
    expect(summary).toMatchObject({ questions: 6, rollouts: 12, knownQuestions: 3, neededQuestions: 2 })
    expect(summary.accuracy).toBeCloseTo(5 / 6, 12)
    expect(summary.callsPerRollout).toBeCloseTo(4 / 6, 12)
    expect(summary.redundantCallRate).toBeCloseTo(2 / 3, 12)
    expect(summary.neededCallRate).toBe(0.5)
    expect(summary.knownAccuracy).toBe(1)
    expect(summary.neededAccuracy).toBe(0.5)
  })

  it('gives the same numbers for the same seed', async () => {
    const run = async (seed: number) =>
      (await evaluate({ ...asking(new ScriptedPolicy()), samples: 8, seed })).groups
        .flat()
        .map(({ logprobs }) => logprobs.at(-1))
    expect(await run(1)).toEqual(await run(1))
    expect(await run(1)).not.toEqual(await run(2))
  })

  it('ends when it is aborted', async () => {
    const signal = AbortSignal.abort(new Error('stopped by the test'))
    await expect(evaluate({ ...asking(new ScriptedPolicy()), signal })).rejects.toThrow('stopped by the test')
  })

  describe('refuses', () => {
    const policy = new ScriptedPolicy()
    refuses(
      (options: Partial<EvaluateOptions>) => evaluate({ ...asking(policy), ...options }),
      [
        [{ samples: 0 }, 'samples: must be a whole number of at least 1, got 0'],
        [{ concurrency: 1.5 }, 'concurrency: must be a whole number of at least 1, got 1.5'],
        [{ tasks: 'tasks.jsonl' }, "tasks: must be a list, got 'tasks.jsonl'"],
        [{ policy: undefined }, 'policy: must be a policy, where there is no play, got undefined'],
        [{ play: 'agent' }, "play: must be a function, got 'agent'"],
        [{ reward: { answer: 'exact-match' } }, "reward.answer: must be a function, got 'exact-match'"],
        [{ rollout: { topP: 2 } }, 'rollout.topP: must be 0.000001 to 1, got 2'],
        [{ knowledge: 'known.json' }, "knowledge: must be what measureKnown returns, got 'known.json'"],
        [{ signal: 'stop' }, "signal: must be an AbortSignal, got 'stop'"],
        [{ sample: 2 }, 'sample: must be left out (there is no such option; did you mean samples?), got 2'],
      ],
    )
    refuses(
      (options: EvaluateOptions) => evaluate(options),
      [
        [null, 'options: must be an object, got null'],
        ['config.yaml', "options: must be an object, got 'config.yaml'"],
      ],
    )
  })
})
