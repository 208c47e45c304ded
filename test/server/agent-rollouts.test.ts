// The trainer's loop with a user's own agents.
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { generateText, stepCountIs, streamText, tool } from 'ai'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { z } from 'zod'
import { agentRollout } from '../../lib/evaluation/agent-rollout.js'
import { measureKnown } from '../../lib/evaluation/evaluate.js'
import type { PolicyBatch } from '../../lib/native/types.js'
import { reportedOutcome } from '../../lib/rewards/reported-outcome.js'
import { exactMatch } from '../../lib/rewards/rewards.js'
import type { Agent, TrainingContext } from '../../lib/rollout/agent.js'
import { tokenSequences } from '../../lib/rollout/token-sequences.js'
import type { Task } from '../../lib/rollout/types.js'
import { type AgentRolloutsOptions, agentRollouts } from '../../lib/server/agent-rollouts.js'
import { type AgentServer, createServer } from '../../lib/server/create-server.js'
import { Trainer, type TrainerStep } from '../../lib/trainer/trainer.js'
import type { TrainerOptions } from '../../lib/trainer/trainer-options.js'
import { refuses } from '../core/wrong-options.js'
import { tasks } from '../trainer/scripted-environment.js'
import { ScriptedPolicy } from '../trainer/scripted-policy.js'

let folder: string
let server: AgentServer
let policy: ScriptedPolicy
const warnings: string[] = []

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hdpo-agent-'))
  warnings.length = 0
  policy = new ScriptedPolicy()
  server = createServer({ policy, onWarning: (message) => warnings.push(message) })
  await server.listen()
})
afterEach(async () => {
  vi.useRealTimers()
  await server.close()
  await rm(folder, { recursive: true, force: true })
})

/** An agent as people write it, with the AI SDK and two tools; the address is all that it has of hdpo. */
const agent: Agent<TrainingContext> = async ({ task, baseURL, apiKey, signal }) => {
  const provider = createOpenAICompatible({ name: 'hdpo', baseURL, apiKey })
  const { text } = await generateText({
    model: provider('policy'),
    prompt: task.messages[0]?.content as string,
    tools: {
      lookup: tool({ description: 'Looks up', inputSchema: z.object({}), execute: async () => '42' }),
      calculate: tool({ description: 'Counts', inputSchema: z.object({}), execute: async () => '41' }),
    },
    stopWhen: stepCountIs(4),
    maxRetries: 0,
    abortSignal: signal,
  })
  const answer = /<answer>(.*)<\/answer>/.exec(text)?.[1] ?? ''
  return { correct: answer === '42', answer }
}

function train(options: Partial<AgentRolloutsOptions> = {}, more: Partial<TrainerOptions> = {}): Trainer {
  return new Trainer({
    policy,
    tasks: tasks(6),
    tools: [],
    reward: { answer: reportedOutcome() },
    runGroup: agentRollouts({ server, agent, ...options }),
    algorithm: { name: 'grpo' },
    groupSize: 6,
    promptsPerStep: 2,
    steps: 3,
    optimizer: { learningRate: 0.001 },
    output: join(folder, 'run'),
    seed: 5,
    onWarning: (message) => warnings.push(message),
    ...more,
  })
}

async function drain(steps: AsyncIterable<TrainerStep>): Promise<TrainerStep[]> {
  const seen: TrainerStep[] = []
  for await (const step of steps) seen.push(step)
  return seen
}

describe('a trainer with an AI SDK agent', () => {
  it('trains on the exact tokens of the rollouts, calls counted, outcomes as reported', async () => {
    const steps = await drain(train().run())
    expect(steps.map(({ step }) => step)).toEqual([1, 2, 3])
    const rollouts = steps.flatMap(({ groups }) => groups.flat())
    expect(rollouts).toHaveLength(36)
    for (const rollout of rollouts) {
      expect(rollout.id).toMatch(/^task-\d#\d$/)
      expect(rollout.answerReward).toBe(rollout.finalAnswer === '42' ? 1 : 0)
      expect(
        rollout.toolCalls.every(({ outcome, observation }) => outcome === 'ok' && observation === '42'),
      ).toBe(true)
      expect(rollout.turns).toBe(rollout.toolCalls.length + 1)
      expect(rollout.moreSequences).toBeUndefined()
    }
    const calls = new Set(rollouts.map(({ toolCalls }) => toolCalls.length))
    expect([...calls].sort()).toEqual([0, 1])
    const batch = policy.calls[0]?.batch as PolicyBatch
    expect(batch.offsets).toHaveLength(13)
    const first = steps[0]?.groups[0]?.[0]
    expect(batch.tokens.slice(0, batch.offsets[1])).toEqual(first?.tokens)
    expect(batch.oldLogprobs.slice(0, batch.offsets[1])).toEqual(first?.logprobs)
    expect(steps[0]?.metrics).toMatchObject({
      rollouts: 12,
      segments: 12,
      controlTokensInText: 0,
      splitRollouts: 0,
      ungradedRollouts: 0,
    })
    expect(server.metrics()).toMatchObject({ finishedRollouts: 36, liveRollouts: 0 })
    expect(warnings).toEqual([])
  })

  it('depends on the seed alone', async () => {
    await drain(train({}, { steps: 1 }).run())
    const weights = policy.weights
    policy.weights = 1
    policy.momentum = 0
    await drain(train({}, { steps: 1, output: join(folder, 'again') }).run())
    expect(policy.weights).toBe(weights)
  })

  it('streams as well', async () => {
    const streaming: Agent<TrainingContext> = async ({ task, baseURL, apiKey }) => {
      const result = streamText({
        model: createOpenAICompatible({ name: 'hdpo', baseURL, apiKey, includeUsage: true })('policy'),
        prompt: task.messages[0]?.content as string,
        tools: {
          lookup: tool({ description: 'Looks up', inputSchema: z.object({}), execute: async () => '42' }),
        },
        stopWhen: stepCountIs(4),
      })
      return { answer: /<answer>(.*)<\/answer>/.exec(await result.text)?.[1] ?? '' }
    }
    const [step] = await drain(
      train({ agent: streaming }, { steps: 1, reward: { answer: exactMatch() } }).run(),
    )
    const rollouts = step?.groups.flat() ?? []
    expect(rollouts).toHaveLength(12)
    expect(rollouts.some(({ toolCalls }) => toolCalls.length === 1)).toBe(true)
    expect(rollouts.every((rollout) => rollout.answerReward === Number(rollout.finalAnswer === '42'))).toBe(
      true,
    )
    expect(step?.metrics.splitRollouts).toBe(0)
  })

  it('counts what its owner says a call costs', async () => {
    const [step] = await drain(train({ toolCosts: { lookup: 0.25 } }, { steps: 1 }).run())
    const calls = step?.groups.flat().flatMap(({ toolCalls }) => toolCalls) ?? []
    expect(calls.length).toBeGreaterThan(0)
    expect(calls.every(({ cost }) => cost === 0.25)).toBe(true)
  })

  it('measures what the policy knows with its calls off, the agent unchanged', async () => {
    const asked: string[] = []
    policy.say = (conversation, _draw, mayCall) => {
      asked.push(conversation)
      return mayCall
        ? '<tool_call>{"name": "lookup"}</tool_call>'
        : `<answer>${conversation.includes('question 1') ? 42 : 0}</answer>`
    }
    const knowledge = await measureKnown({
      policy,
      tasks: tasks(3),
      tools: [],
      reward: { answer: reportedOutcome() },
      runGroup: agentRollouts({ server, agent }),
      samples: 4,
    })
    expect([...knowledge.known]).toEqual(['task-1'])
    expect([...knowledge.needed]).toEqual(['task-0', 'task-2'])
    expect(asked.length).toBeGreaterThan(0)
  })
})

describe('an agent that is trained and evaluated', () => {
  // Asks the policy in training, and elsewhere a model of its own, which knows the answer.
  const both: Agent = async ({ messages, toolChoice, baseURL, apiKey, model, signal }) => {
    if (baseURL === undefined) return { answer: '<answer>42</answer>', toolCalls: [{ name: 'lookup' }] }
    const response = await fetch(`${baseURL}/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model, messages }),
      signal,
    })
    const { choices } = (await response.json()) as { choices: { message: { content: string } }[] }
    const answer = choices[0]?.message.content ?? ''
    return {
      answer,
      toolCalls: [],
      usage: { promptTokens: 1, completionTokens: toolChoice === 'none' ? 0 : 1 },
    }
  }

  it('is one function', async () => {
    policy.say = () => 'It is <answer>42</answer>'
    const [task] = tasks(1) as [Task]
    const [trained] = await agentRollouts({ server, agent: both })(policy, task, [], { size: 1 })
    const signal = new AbortController().signal
    const evaluated = await agentRollout(both, { task, id: `${task.id}#0`, toolChoice: 'auto', signal })
    expect(trained).toMatchObject({ id: evaluated.id, finalAnswer: '42', turns: 1, toolCalls: [] })
    expect(trained?.outcome).toEqual({ answer: '42' })
    expect(evaluated).toMatchObject({ finalAnswer: '42', toolCalls: [{ name: 'lookup' }] })
    // Training does not use the calls and tokens that the agent reports.
    expect(trained?.mask.reduce((sum, bit) => sum + bit, 0)).toBeGreaterThan(1)
  })

  it('is told what it may do, and the name of the policy', async () => {
    const named = createServer({ policy, model: 'my-policy' })
    await named.listen()
    const [task] = tasks(1) as [Task]
    const told: TrainingContext[] = []
    const asking: Agent<TrainingContext> = (context) => {
      told.push(context)
      return both(context)
    }
    for (const toolChoice of ['auto', 'none'] as const) {
      await agentRollouts({ server: named, agent: asking })(policy, task, [], { size: 1, toolChoice })
    }
    await named.close()
    expect(told.map(({ model, toolChoice }) => [model, toolChoice])).toEqual([
      ['my-policy', 'auto'],
      ['my-policy', 'none'],
    ])
    expect(told[0]?.messages).toEqual(task.messages)
    expect(told[0]?.messages).not.toBe(task.messages)
  })
})

describe('agents that split their rollouts', () => {
  it('train every sequence, and the metrics say so', async () => {
    const forgetful: Agent<TrainingContext> = async ({ task, baseURL, apiKey }) => {
      for (const question of [task.messages[0]?.content, 'something else']) {
        const response = await fetch(`${baseURL}/chat/completions`, {
          method: 'POST',
          headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
          body: JSON.stringify({ model: 'policy', messages: [{ role: 'user', content: question }] }),
        })
        if (!response.ok) throw new Error(await response.text())
      }
      return { reward: 0.5 }
    }
    const [step] = await drain(train({ agent: forgetful }, { steps: 1 }).run())
    expect(step?.metrics).toMatchObject({ rollouts: 12, segments: 24, splitRollouts: 12 })
    const batch = policy.calls[0]?.batch as PolicyBatch
    expect(batch.offsets).toHaveLength(25)
    expect(step?.groups.flat().every((rollout) => tokenSequences(rollout).length === 2)).toBe(true)
    expect(step?.metrics.sampledTokens).toBe(batch.mask.reduce((sum, bit) => sum + bit, 0))
    const line = (await readFile(join(folder, 'run', 'rollouts', 'step-000001.jsonl'), 'utf8')).split('\n')[0]
    const recorded = JSON.parse(line as string)
    expect(recorded.moreSequences[0].tokens.length).toBeGreaterThan(0)
    expect(recorded.outcome).toEqual({ reward: 0.5 })
  })
})

describe('agents that fail', () => {
  it('leave their rollout ungraded, the reason kept, the others trained', async () => {
    const failing: Agent<TrainingContext> = async (context) => {
      if (context.rolloutId.endsWith('#2')) throw new Error('my database is down')
      return agent(context)
    }
    const [step] = await drain(train({ agent: failing }, { steps: 1 }).run())
    expect(step?.metrics).toMatchObject({ rollouts: 12, ungradedRollouts: 2 })
    expect(step?.groups.map((group) => group.length)).toEqual([5, 5])
    const ungraded = step?.rollouts.flat().filter((rollout) => rollout.ungraded !== undefined)
    expect(ungraded?.map((rollout) => rollout.ungraded)).toEqual(
      Array(2).fill('the agent failed: my database is down'),
    )
    expect((policy.calls[0]?.batch as PolicyBatch | undefined)?.offsets).toHaveLength(11)
  })

  it('end the run where none has ever succeeded', async () => {
    const broken: Agent<TrainingContext> = async () => {
      throw new TypeError('undefined is not a function')
    }
    await expect(drain(train({ agent: broken }).run())).rejects.toMatchObject({
      code: 'ERR_AGENT',
      message: expect.stringMatching(
        /^task "task-\d": the agent failed in every rollout so far: undefined is not/,
      ),
    })
    expect(server.metrics().liveRollouts).toBe(0)
  })

  it('are not waited for past their time', async () => {
    const hanging: Agent<TrainingContext> = (context) =>
      context.rolloutId.endsWith('#0') ? new Promise(() => {}) : agent(context)
    // These rollouts reach their timeout once all others have ended, however long those take.
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const training = drain(train({ agent: hanging, timeout: 60_000 }, { steps: 1 }).run())
    while (server.metrics().finishedRollouts < 10) await new Promise((resolve) => setImmediate(resolve))
    expect(server.metrics().liveRollouts).toBe(2)
    await vi.advanceTimersByTimeAsync(60_000)
    const [step] = await training
    expect(step?.metrics.ungradedRollouts).toBe(2)
    expect(server.metrics()).toMatchObject({ liveRollouts: 0, abandonedRollouts: 2 })
  })

  it('are told by name what they returned wrong, and what options cannot work', async () => {
    const wrong = async () => ({ correct: 'yes' }) as never
    await expect(drain(train({ agent: wrong }).run())).rejects.toThrow(
      'outcome.correct: must be true or false',
    )
  })

  refuses(
    (change) => agentRollouts({ server: {} as never, agent: async () => ({}), ...(change as object) }),
    [
      [{ server: undefined }, 'agentRollouts.server: must be what createServer returns, got undefined'],
      [{ agent: 'x' }, "agentRollouts.agent: must be a function, got 'x'"],
      [{ concurrency: 0 }, 'agentRollouts.concurrency: must be a whole number of at least 1, got 0'],
      [
        { timeout: 2 ** 31 },
        'agentRollouts.timeout: must be greater than 0 and at most 2147483647, got 2147483648',
      ],
      [{ toolCosts: { search: -1 } }, 'agentRollouts.toolCosts.search: must be at least 0, got -1'],
    ],
  )

  it('are told what of a rollout is not theirs to set', async () => {
    const group = agentRollouts({ server, agent })
    const [task] = tasks(1)
    await expect(group(new ScriptedPolicy(), task as never, [], { size: 1 })).rejects.toThrow(
      'policy: must be the one that the server serves, got another',
    )
    await expect(group(policy, task as never, [], { size: 1, toolChoice: 'required' })).rejects.toThrow(
      "rollout.toolChoice: must be auto or none (an agent's requests say whether a call is required), got 'required'",
    )
    await expect(group(policy, task as never, [], { size: 1, stop: ['x'] })).rejects.toThrow(
      "rollout.stop: must be left out (an agent's requests say where a turn stops), got [ 'x' ]",
    )
  })

  it('stop with the run', async () => {
    const stopping = new AbortController()
    const group = agentRollouts({ server, agent: () => new Promise(() => {}) })
    const [task] = tasks(1)
    const pending = group(policy, task as never, [], { size: 3, signal: stopping.signal })
    stopping.abort()
    expect((await pending).map(({ end }) => end)).toEqual(['aborted', 'aborted', 'aborted'])
    expect(server.metrics().liveRollouts).toBe(0)
  })
})
