// Right calls of the package's functions, to be made wrong in places.
import { join } from 'node:path'
import { z } from 'zod'
import { createAtlas } from '../../lib/families.js'
import * as hdpo from '../../lib/index.js'
import { kernels } from '../../lib/kernels.js'

export interface CallSpecimen {
  /** The right arguments, made anew for each call. */
  args(): unknown[]
  call(...args: unknown[]): unknown
}

const floats = (...values: number[]) => Float32Array.from(values)
const integers = (...values: number[]) => Int32Array.from(values)
const bytes = (...values: number[]) => Uint8Array.from(values)

const group = {
  groupIds: integers(0, 0, 1, 1),
  accuracyRewards: floats(1, 0, 0.5, 0.9),
  correct: bytes(1, 0, 1, 1),
  toolCalls: integers(0, 2, 1, 3),
  epsilon: 1e-6,
  scaleByStd: true,
}
const lossTokens = {
  vocabSize: 3,
  targets: integers(0, 1, 2, 1),
  lossMask: bytes(0, 1, 0, 1),
  sequenceLengths: integers(2, 2),
  oldLogprobs: floats(0, -1, 0, -2),
  referenceLogprobs: floats(0, -1, 0, -2),
  accuracyAdvantages: floats(1, -1),
  efficiencyAdvantages: floats(0, 0.5),
  clipLow: 0.2,
  clipHigh: 0.28,
  klCoefficient: 0.01,
  temperature: 1,
}
const batch = {
  tokens: integers(5, 6, 7, 8, 9, 10),
  offsets: integers(0, 3, 6),
  mask: bytes(0, 1, 1, 0, 1, 1),
  oldLogprobs: floats(0, -1, -1, 0, -1, -1),
  accuracyAdvantages: floats(1, -1),
  efficiencyAdvantages: floats(0, 0),
}
const optimizer = { learningRate: 1e-4, weightDecay: 0.01, maxGradientNorm: 1 }
const task = {
  id: 'a',
  messages: [{ role: 'user', content: 'Capital of Peru?' }],
  answer: 'Lima',
  metadata: { level: 1 },
}
const rollout = {
  id: 'r',
  taskId: 'a',
  messages: [...task.messages, { role: 'assistant', content: 'Lima' }],
  finalAnswer: 'Lima',
  toolCalls: [],
  turns: 1,
  wellFormed: true,
  end: 'answer',
  tokens: integers(5, 6, 7),
  mask: bytes(0, 1, 1),
  logprobs: floats(0, -1, -1),
}
const definition = {
  name: 'lookup',
  description: 'Looks it up',
  input: z.object({ query: z.string() }),
  timeout: 1000,
  cost: 1,
  run: async () => 'Lima',
}

interface Specimens {
  specimens: Record<string, CallSpecimen>
  close(): Promise<void>
}

/** `folder`: where files may be written. */
export async function callSpecimens(folder: string): Promise<Specimens> {
  const { tokenizer, template, model, reward } = createAtlas()
  const sizes = {
    hiddenSize: 16,
    layers: 1,
    heads: 2,
    kvHeads: 1,
    headDim: 8,
    intermediateSize: 16,
    maxPositions: 64,
  }
  const config = { ...model, ...sizes }
  const policy = await hdpo.Policy.create({ config, tokenizer, template, threads: 1, seed: 1 })
  const of = (args: () => unknown[], call: (...args: never[]) => unknown): CallSpecimen => ({
    args,
    call: call as CallSpecimen['call'],
  })
  const specimens: Record<string, CallSpecimen> = {
    ...kernelCalls(of),
    ...policyCalls(policy, folder, of),
    ...rolloutCalls(of, { policy, reward, folder }),
    ...fileCalls(folder, of),
    'Policy.create': of(
      () => [{ config, tokenizer, template, threads: 1, seed: 1, precision: 'float32', lora: { rank: 2 } }],
      (given) => hdpo.Policy.create(given),
    ),
  }
  return { specimens, close: () => policy.close() }
}

type Of = (args: () => unknown[], call: (...args: never[]) => unknown) => CallSpecimen

function kernelCalls(of: Of): Record<string, CallSpecimen> {
  const { groupAdvantages, policyLoss, linearPolicyLoss } = kernels
  return {
    groupAdvantages: of(() => [group], groupAdvantages),
    policyLoss: of(() => [{ ...lossTokens, logits: new Float32Array(12).fill(0.5) }], policyLoss),
    linearPolicyLoss: of(
      () => [
        {
          ...lossTokens,
          hiddenSize: 2,
          hidden: new Float32Array(8).fill(0.1),
          weight: new Float32Array(6).fill(0.2),
        },
      ],
      linearPolicyLoss,
    ),
  }
}

function policyCalls(policy: hdpo.Policy, folder: string, of: Of): Record<string, CallSpecimen> {
  const sequence = async (tokens: never, sampling: never, more: never) => {
    const made = policy.createSequence(tokens)
    try {
      const fork = made.fork()
      made.append(more)
      const said = await made.sample(sampling)
      fork.release()
      return said
    } finally {
      made.release()
    }
  }
  return {
    policyStep: of(
      () => [batch, { clipLow: 0.2, accuracyWeight: 1, efficiencyWeight: 0.1 }, optimizer],
      (...given) => policy.policyStep(...(given as [never, never, never])),
    ),
    supervisedStep: of(
      () => [{ tokens: batch.tokens, offsets: batch.offsets, mask: batch.mask }, optimizer],
      (...given) => policy.supervisedStep(...(given as [never, never])),
    ),
    logprobs: of(
      () => [batch.tokens, batch.offsets, { temperature: 1, reference: false }],
      (...given) => policy.logprobs(...(given as [never, never, never])),
    ),
    sequence: of(
      () => [
        integers(5, 6, 7),
        {
          maxTokens: 4,
          temperature: 1,
          topP: 0.9,
          topK: 3,
          seed: 1,
          stopTokens: [9],
          stop: ['x'],
          logitBias: new Map([[3, -1]]),
        },
        integers(8),
      ],
      sequence,
    ),
    prompt: of(
      () => [task.messages, [{ name: 'lookup', description: 'Looks it up', parameters: { type: 'object' } }]],
      (...given) => policy.template.prompt(...(given as [never, never])),
    ),
    supervised: of(
      () => [rollout.messages, []],
      (...given) => policy.template.supervised(...(given as [never, never])),
    ),
    encode: of(
      () => ['Peru é <|im_end|>'],
      (text) => policy.tokenizer.encode(text),
    ),
    decode: of(
      () => [integers(5, 6, 7)],
      (tokens) => policy.tokenizer.decode(tokens),
    ),
    save: of(
      () => [join(folder, 'saved'), { dtype: 'float32' }],
      (...given) => policy.save(...(given as [never, never])),
    ),
    memoryPlan: of(
      () => [2048],
      (count) => policy.memoryPlan(count),
    ),
  }
}

function rolloutCalls(
  of: Of,
  { policy, reward, folder }: { policy: hdpo.Policy; reward: hdpo.RewardOptions; folder: string },
): Record<string, CallSpecimen> {
  const scored = { ...rollout, answerReward: 1, formatReward: 1, accuracyReward: 1 }
  const training = () => ({
    policy,
    tasks: [task],
    tools: [],
    reward,
    algorithm: { name: 'hdpo', efficiencyWeight: 0.1 },
    groupSize: 2,
    promptsPerStep: 1,
    steps: 1,
    rollout: { maxTurns: 2, maxTokens: 30, temperature: 1, stop: ['.'] },
    optimizer,
    evaluate: { tasks: [task], every: 1 },
    output: join(folder, 'run'),
  })
  return {
    Trainer: of(
      () => [training()],
      (given) => new hdpo.Trainer(given),
    ),
    SupervisedTrainer: of(
      () => [
        {
          policy,
          conversations: [{ messages: rollout.messages }],
          tools: [],
          steps: 1,
          tokensPerStep: 100,
          optimizer,
          output: join(folder, 'sft'),
        },
      ],
      (given) => new hdpo.SupervisedTrainer(given),
    ),
    runGroup: of(
      () => [policy, task, [hdpo.defineTool(definition)], { size: 2, seed: 1, maxTurns: 2, maxTokens: 40 }],
      hdpo.runGroup,
    ),
    evaluate: of(
      () => [
        {
          policy,
          tasks: [task],
          tools: [],
          reward: { answer: hdpo.exactMatch() },
          samples: 1,
          seed: 1,
        },
      ],
      hdpo.evaluate,
    ),
    measureKnown: of(
      () => [{ policy, tasks: [task], tools: [], reward: { answer: hdpo.exactMatch() }, samples: 2 }],
      hdpo.measureKnown,
    ),
    scoreRollouts: of(
      () => [[rollout], task, { answer: hdpo.exactMatch(), answerWeight: 0.9, formatWeight: 0.1 }],
      hdpo.scoreRollouts,
    ),
    assignAdvantages: of(
      () => [[[scored, { ...scored, accuracyReward: 0 }]], { name: 'hdpo' }],
      hdpo.assignAdvantages,
    ),
    packPolicyBatch: of(
      () => [[{ ...scored, accuracyAdvantage: 1, efficiencyAdvantage: 0 }]],
      hdpo.packPolicyBatch,
    ),
    defineTool: of(() => [definition], hdpo.defineTool),
    exactMatch: of(() => [{}], hdpo.exactMatch),
    numericMatch: of(() => [{ tolerance: 0.1 }], hdpo.numericMatch),
    regexMatch: of(() => [{}], hdpo.regexMatch),
    verifier: of(() => [() => true, { timeout: 100, onError: 'throw' }], hdpo.verifier),
    createServer: of(
      () => [
        {
          policy,
          model: 'policy',
          token: 'a token of 24 letters',
          maxRollouts: 4,
          sampling: { temperature: 1 },
        },
      ],
      hdpo.createServer,
    ),
    startRollout: of(
      () => [{ task: { id: 'a' }, id: 'r', maxTokens: 10, sampling: { seed: 1 } }],
      (given) => startOne(policy, given),
    ),
    agentRollouts: of(
      () => [{ agent: async () => ({ answer: 'Lima' }), concurrency: 2 }],
      hdpo.agentRollouts as never,
    ),
    buildTextIndex: of(
      () => [[{ id: 'd', title: 'Peru', text: 'The capital of Peru is Lima.' }], {}],
      hdpo.buildTextIndex as never,
    ),
  }
}

async function startOne(policy: hdpo.Policy, given: never): Promise<unknown> {
  const server = hdpo.createServer({ policy, baseURL: 'http://127.0.0.1:1/v1' })
  try {
    return await server.startRollout(given).abandon()
  } finally {
    await server.close()
  }
}

function fileCalls(folder: string, of: Of): Record<string, CallSpecimen> {
  const rows = [{ id: 'a', prompt: 'Capital of Peru?', answer: 'Lima' }]
  return {
    openTasks: of(
      () => [rows, { columns: { prompt: 'prompt', answer: 'answer' }, limit: 1 }],
      hdpo.openTasks as never,
    ),
    jsonl: of(() => [join(folder, 'nothing.jsonl'), {}], hdpo.jsonl),
    readConversations: of(() => [join(folder, 'nothing.jsonl'), { format: 'auto' }], hdpo.readConversations),
    tensorBoard: of(() => [{ folder: join(folder, 'events') }], hdpo.tensorBoard),
    addSecret: of(() => ['a secret of the fuzzer', 'name'], hdpo.addSecret),
    reportedOutcome: of(() => [], hdpo.reportedOutcome),
    ungraded: of(() => ['no reason'], hdpo.ungraded),
  }
}
