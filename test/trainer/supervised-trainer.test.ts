import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { InvalidOptionError } from '../../lib/core/option-error.js'
import { readMetrics } from '../../lib/run/metrics-file.js'
import type { SupervisedMetrics } from '../../lib/trainer/metrics.js'
import type { SupervisedTrainerOptions } from '../../lib/trainer/supervised-options.js'
import { SupervisedTrainer } from '../../lib/trainer/supervised-trainer.js'
import { refuses } from '../core/wrong-options.js'
import { ScriptedPolicy } from './scripted-policy.js'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hdpo-supervised-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const conversations = Array.from({ length: 30 }, (_, index) => ({
  messages: [
    { role: 'user' as const, content: `question ${index}` },
    { role: 'assistant' as const, content: 'x'.repeat(1 + (index % 7)) },
  ],
}))

function train(policy: ScriptedPolicy, output: string, options: Partial<SupervisedTrainerOptions> = {}) {
  return new SupervisedTrainer({
    policy,
    conversations,
    tools: [],
    tokensPerStep: 120,
    epochs: 2,
    optimizer: { learningRate: 0.01, schedule: 'cosine', warmupSteps: 3 },
    output: join(folder, output),
    seed: 5,
    checkpointEvery: 4,
    ...options,
  })
}

async function drain<Step>(
  steps: AsyncIterable<Step>,
  until: (step: Step) => boolean = () => false,
): Promise<Step[]> {
  const seen: Step[] = []
  for await (const step of steps) {
    seen.push(step)
    if (until(step)) break
  }
  return seen
}

/** Metrics without times. */
const numbers = (metrics: SupervisedMetrics[]) =>
  metrics.map(({ seconds: _, tokensPerSecond: __, ...rest }) => rest)

describe('SupervisedTrainer', () => {
  it('sees every conversation once an epoch in batches that fit the budget', async () => {
    const policy = new ScriptedPolicy()
    const trainer = train(policy, 'run', { epochs: 1 })
    await drain(trainer.run())
    const sequences = policy.calls.flatMap(({ batch }) =>
      Array.from({ length: batch.offsets.length - 1 }, (_, index) =>
        policy.tokenizer.decode(batch.tokens.subarray(batch.offsets[index], batch.offsets[index + 1])),
      ),
    )
    // The last batch reaches into the next epoch.
    const asked = sequences.slice(0, 30).map((text) => /question \d+/.exec(text)?.[0])
    expect(new Set(asked).size).toBe(30)
    expect(policy.calls.every(({ batch }) => batch.tokens.length <= 120)).toBe(true)
    expect(policy.calls).toHaveLength(trainer.steps)
  })

  it('resumes to the numbers of an unbroken run', async () => {
    const whole = new ScriptedPolicy()
    await drain(train(whole, 'whole').run())

    const cut = new ScriptedPolicy()
    await drain(train(cut, 'cut').run(), ({ step }) => step === 6)
    const resumed = new ScriptedPolicy()
    const steps = await drain(train(resumed, 'cut').run({ resume: true }))
    expect(steps[0]?.step).toBe(5)
    expect(resumed.weights).toBe(whole.weights)
    expect(numbers(await readMetrics(join(folder, 'cut')))).toEqual(
      numbers(await readMetrics(join(folder, 'whole'))),
    )
  })

  it('resumes where the same conversations are in another place', async () => {
    const at = (source: string) =>
      conversations.map((one, index) => ({ ...one, source: `${source}:${index + 1}` }))
    await drain(
      train(new ScriptedPolicy(), 'cut', { conversations: at('a.jsonl') }).run(),
      ({ step }) => step === 6,
    )
    const moved = train(new ScriptedPolicy(), 'cut', { conversations: at('b.jsonl') })
    expect((await drain(moved.run({ resume: true })))[0]?.step).toBe(5)
  })

  it('warns of thoughts that the chat template does not write', () => {
    const warnings: string[] = []
    const policy = new ScriptedPolicy()
    const { template } = policy
    const dropping = Object.create(template, {
      supervised: {
        value: (...given: Parameters<typeof template.supervised>) => ({
          ...template.supervised(...given),
          droppedThoughts: 1,
        }),
      },
    })
    Object.defineProperty(policy, 'template', { value: dropping })
    train(policy, 'run', { onWarning: (message) => warnings.push(message) })
    expect(warnings).toEqual([
      '30 thoughts of the conversations are not trained on: the chat template does not write them',
    ])
  })

  it('goes back past a damaged checkpoint and says so', async () => {
    const whole = new ScriptedPolicy()
    await drain(train(whole, 'whole').run())
    await drain(train(new ScriptedPolicy(), 'cut').run(), ({ step }) => step === 9)
    await writeFile(join(folder, 'cut', 'checkpoints', 'step-8', 'model.safetensors'), '0')

    const warnings: string[] = []
    const resumed = new ScriptedPolicy()
    const onWarning = (message: string) => warnings.push(message)
    const steps = await drain(train(resumed, 'cut', { onWarning }).run({ resume: true }))
    expect(steps[0]?.step).toBe(5)
    expect(warnings).toEqual([
      expect.stringMatching(/step-8 is damaged and was not used: model\.safetensors/),
    ])
    expect(resumed.weights).toBe(whole.weights)
  })

  it('finishes the step, saves and ends when the signal is aborted', async () => {
    const controller = new AbortController()
    const policy = new ScriptedPolicy()
    const seen: number[] = []
    for await (const { step } of train(policy, 'run').run({ signal: controller.signal })) {
      seen.push(step)
      if (step === 2) controller.abort()
    }
    expect(seen).toEqual([1, 2])
    const resumed = new ScriptedPolicy()
    const [next] = await drain(train(resumed, 'run').run({ resume: true }))
    expect(next?.step).toBe(3)
  })

  it('skips a step that is not finite, counts it, and does not save until the next good one', async () => {
    const policy = new ScriptedPolicy()
    policy.notFinite = (call) => call === 4
    const warnings: string[] = []
    const steps = await drain(train(policy, 'run', { onWarning: (message) => warnings.push(message) }).run())
    expect(steps[3]?.metrics).toMatchObject({ step: 4, skipped: true, skippedSteps: 1 })
    expect(steps[3]?.checkpoint).toBeUndefined()
    expect(steps[4]?.checkpoint).toMatch(/step-5$/)
    expect(steps.at(-1)?.metrics.skippedSteps).toBe(1)
    expect(warnings).toEqual([expect.stringContaining('step 4 was skipped')])
  })

  it('stops after maxSkippedSteps in a row and keeps the last good checkpoint', async () => {
    const policy = new ScriptedPolicy()
    policy.notFinite = (call) => call > 5
    const run = train(policy, 'run', { maxSkippedSteps: 3, onWarning: () => {} }).run()
    await expect(drain(run)).rejects.toMatchObject({
      code: 'ERR_NON_FINITE',
      message: expect.stringMatching(/^step 8: .* 3 steps in a row .*step-4$/),
    })
    expect((await readMetrics<SupervisedMetrics>(join(folder, 'run'))).map(({ skipped }) => skipped)).toEqual(
      [...new Array(5).fill(false), ...new Array(3).fill(true)],
    )
    const [next] = await drain(train(new ScriptedPolicy(), 'run').run({ resume: true }))
    expect(next?.step).toBe(5)
  })

  it('refuses to resume with other options, by name', async () => {
    await drain(train(new ScriptedPolicy(), 'run').run(), ({ step }) => step === 4)
    const changed = train(new ScriptedPolicy(), 'run', { seed: 6 }).run({ resume: true })
    await expect(drain(changed)).rejects.toMatchObject({
      code: 'ERR_RESUME',
      message: expect.stringMatching(/^seed was 5 /),
    })
  })

  describe('refuses in the constructor', () => {
    const policy = new ScriptedPolicy()
    refuses(
      (options: Partial<SupervisedTrainerOptions>) => train(policy, 'run', options),
      [
        [{ epochs: 0 }, 'epochs: must be greater than 0, got 0'],
        [{ epochs: Number.POSITIVE_INFINITY }, 'epochs: must be finite and greater than 0, got Infinity'],
        [{ steps: 3 }, 'steps: must be left out where epochs is given, got 3'],
        [{ conversations: [] }, 'conversations: must be a list of at least one conversation, got []'],
        [{ tokensPerStep: 1.5 }, 'tokensPerStep: must be a whole number of at least 1, got 1.5'],
        [
          { optimizer: { learningRate: -1 } },
          'optimizer.learningRate: must be greater than 0 and at most 1, got -1',
        ],
        [
          { optimizer: { learningRate: 2 } },
          'optimizer.learningRate: must be greater than 0 and at most 1, got 2',
        ],
        [
          { optimizer: { warmupSteps: 3 } },
          'optimizer.learningRate: must be a number greater than 0 and at most 1, got undefined',
        ],
        [
          { tokensPerSteps: 3 },
          'tokensPerSteps: must be left out (there is no such option; did you mean tokensPerStep?), got 3',
        ],
      ],
    )
    refuses(
      (options: SupervisedTrainerOptions) => new SupervisedTrainer(options),
      [
        [null, 'options: must be an object, got null'],
        ['run', "options: must be an object, got 'run'"],
      ],
    )

    it('a conversation that is longer than the context, by its place', () => {
      const long = { role: 'user' as const, content: 'x'.repeat(policy.maxTokens + 1) }
      const [first] = conversations as [(typeof conversations)[number]]
      const [, reply] = first.messages as [unknown, (typeof first.messages)[number]]
      const given = [first, { messages: [long, reply] }]
      expect(() => train(policy, 'run', { conversations: given })).toThrow(InvalidOptionError)
      expect(() => train(policy, 'run', { conversations: given })).toThrow(
        /^conversations\[1\]: must be at most 4096 tokens, the policy's longest sequence, got \d+ tokens$/,
      )
    })

    const user = { role: 'user', content: 'q' }
    it.each<[string, unknown[], string]>([
      [
        'numeric content',
        [user, { role: 'assistant', content: 42 }],
        'messages[1].content: must be text or a list of parts, got 42',
      ],
      [
        'an unknown role',
        [user, { role: 'asistant', content: 'a' }],
        'messages[1].role: must be system, developer, user',
      ],
      [
        'its length',
        [
          { role: 'user', content: 'x'.repeat(5000) },
          { role: 'assistant', content: 'a' },
        ],
        'must be at most 4096 tokens',
      ],
    ])('a conversation by where it is from: %s', (_, messages, problem) => {
      const [first] = conversations as [(typeof conversations)[number]]
      const odd = { messages, source: 'data.jsonl:41' } as never
      expect(() => train(policy, 'run', { conversations: [first, odd] })).toThrow(`data.jsonl:41: ${problem}`)
    })

    it.each<[string, object, string]>([
      [
        'arguments',
        {
          messages: [user, { role: 'assistant', content: '', toolCalls: [{ name: 'f', arguments: 'deep' }] }],
        },
        'messages[1].toolCalls[0].arguments: must be nested at most 256 levels deep',
      ],
      [
        'content',
        { messages: [{ role: 'user', content: 'deep' }] },
        'messages[0].content[0]: must be a part of type text',
      ],
      [
        'a thought',
        { messages: [user, { role: 'assistant', content: 'a', thought: 'deep' }] },
        'messages[1].thought: must be text or a list of parts',
      ],
      [
        'a schema',
        {
          messages: [user, { role: 'assistant', content: 'a' }],
          tools: [{ name: 'f', parameters: { a: 'deep' } }],
        },
        'tools[0].parameters: must be nested at most 256 levels deep',
      ],
    ])('%s that are nested 50,000 levels deep, by name', (_, conversation, problem) => {
      let deep: unknown[] = []
      for (let level = 0; level < 50_000; level++) deep = [deep]
      const given = JSON.parse(JSON.stringify(conversation), (_key, value) =>
        value === 'deep' ? deep : value,
      )
      expect(() => train(policy, 'run', { conversations: [given] })).toThrow(`conversations[0].${problem}`)
    })

    it('what the chat template refuses, by where the conversation is from', () => {
      const choosy = new ScriptedPolicy()
      const supervised = () => {
        throw new InvalidOptionError('messages[2]', 'of another role', 'assistant')
      }
      Object.defineProperty(choosy, 'template', { value: { ...choosy.template, supervised } })
      const [first] = conversations as [(typeof conversations)[number]]
      const given = (source?: string) => [{ ...first, ...(source && { source }) }]
      expect(() => train(choosy, 'run', { conversations: given('data.jsonl:41') })).toThrow(
        "data.jsonl:41: messages[2]: must be of another role, got 'assistant'",
      )
      expect(() => train(choosy, 'run', { conversations: given() })).toThrow(
        "conversations[0].messages[2]: must be of another role, got 'assistant'",
      )
    })
  })
})
