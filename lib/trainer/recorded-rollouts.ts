// Training on rollouts that were recorded earlier, by `hdpo serve --output` or in the rollouts/ of a run folder: off-policy, corrected
// for changes of the policy since then. The loss takes the ratio of each token against the logprob that it was recorded with,
//   ratio = exp(logprob now - logprob recorded),
// which is its importance weight, clipped as always. This is valid only near the policy that sampled, so rollouts that the policy
// has moved too far from are left ungraded, with the reason.
import { createHash } from 'node:crypto'
import { z } from 'zod'
import { HdpoError } from '../core/errors.js'
import { path as anyPath, count, instance, positive } from '../core/option-kinds.js'
import { type OptionsOf, readOptions } from '../core/options.js'
import { samplingShape } from '../native/sampling-options.js'
import type { RunGroup } from '../rollout/group.js'
import { tokenSequences } from '../rollout/token-sequences.js'
import { type Rollout, rolloutEnds, type Task, type TokenSequence } from '../rollout/types.js'
import { readRows } from '../tasks/rows.js'
import { type TaskList, taskAt, taskList } from '../tasks/task-list.js'
import { packSequences } from './batch.js'
import type { TrainablePolicy } from './trainable-policy.js'

/** Options that a config file may set too. */
export const recordedShape = {
  /** A rollouts.jsonl, a folder of JSONL files, or several. */
  path: z.union([anyPath, z.array(anyPath).min(1)]),
  /**
   * Largest mean |logprob now - logprob recorded|, in nats per sampled token, at which a rollout is still trained on. Default 0.5.
   */
  staleness: positive.default(0.5),
}
export const recordedRolloutsShape = {
  ...recordedShape,
  /** The policy that is trained. */
  policy: instance<TrainablePolicy>('a policy'),
  /** The tasks of the rollouts, by id, for rewards that compare answers. Default: their ids and first messages, without answers. */
  tasks: taskList.optional(),
  /** The most rollouts of one task that are compared with each other; further ones make another group. */
  groupSize: count,
}
const recordedOptions = z.strictObject(recordedRolloutsShape)
export interface RecordedRolloutsOptions extends OptionsOf<typeof recordedRolloutsShape> {}

export interface RecordedRollouts {
  /** One task per group. */
  tasks: Task[]
  runGroup: RunGroup
  /** Rollouts that are in a group. */
  count: number
  /** Number of rollouts in no group, by reason. */
  leftOut: { redacted: number; abandoned: number; alone: number }
}

const values = z.array(z.number())
const sequence = { tokens: z.array(z.int().min(0)), mask: z.array(z.literal([0, 1])), logprobs: values }
/** The fields of a rollout that are read. Rewards and advantages from a run folder are dropped: they are computed anew. */
const lineSchema = z.object({
  id: z.string(),
  taskId: z.string(),
  promptTokens: z.int(),
  ...sequence,
  moreSequences: z.array(z.object(sequence)).exactOptional(),
  messages: z.array(z.looseObject({ role: z.string(), content: z.string() })),
  toolCalls: z.array(z.looseObject({ name: z.string() })),
  turns: z.int(),
  end: z.enum(rolloutEnds),
  finalAnswer: z.string().exactOptional(),
  wellFormed: z.boolean(),
  metadata: z.record(z.string(), z.unknown()).exactOptional(),
  outcome: z.looseObject({}).exactOptional(),
  failure: z.string().exactOptional(),
  sampling: z.array(z.looseObject({ temperature: z.number() })).exactOptional(),
})

/** Of everything that training reads of the rollouts. */
function hashOf(groups: ReadonlyMap<string, readonly Rollout[]>): string {
  const hash = createHash('sha256')
  const bytes = ({ buffer, byteOffset, byteLength }: ArrayBufferView) =>
    new Uint8Array(buffer, byteOffset, byteLength)
  for (const rollout of [...groups.values()].flat()) {
    const { id, taskId, toolCalls, finalAnswer, wellFormed, outcome, failure } = rollout
    hash.update(JSON.stringify({ id, taskId, toolCalls, finalAnswer, wellFormed, outcome, failure }))
    for (const { tokens, mask, logprobs } of tokenSequences(rollout))
      for (const values of [tokens, mask, logprobs]) hash.update(bytes(values))
  }
  return hash.digest('hex').slice(0, 16)
}

/** Reads all rollouts into memory; rejects with ERR_RECORDED, naming file and line, if one is no rollout of this policy. */
export async function recordedRollouts(given: RecordedRolloutsOptions): Promise<RecordedRollouts> {
  const options = readOptions(recordedOptions, given)
  const { policy, staleness, groupSize } = options
  const { byTask, leftOut } = await readRecorded(options)
  const tasks = options.tasks && (await tasksById(options.tasks))
  const groups = new Map<string, Rollout[]>()
  const groupTasks: Task[] = []
  for (const [taskId, rollouts] of byTask) {
    for (let start = 0; start < rollouts.length; start += groupSize) {
      const group = rollouts.slice(start, start + groupSize)
      // A rollout alone has nothing to be compared with: its advantages would be 0.
      if (group.length < 2) {
        leftOut.alone += group.length
        continue
      }
      let id = start === 0 ? taskId : `${taskId}:${start / groupSize + 1}`
      while (start > 0 && byTask.has(id)) id += ':'
      groupTasks.push({ ...taskOf(taskId, group, tasks), id })
      groups.set(id, group)
    }
  }
  if (groupTasks.length === 0) {
    const why = `${leftOut.alone} alone with their task, ${leftOut.abandoned} abandoned, ${leftOut.redacted} redacted`
    throw recordedError(`${options.path}: no two rollouts of one task can be trained on (${why})`)
  }
  const playBack: RunGroup = async (_policy, task, _tools, options) => {
    const temperature = samplingShape.temperature.parse(options.temperature)
    const group = groups.get(task.id)
    if (!group) {
      throw recordedError(
        `task "${task.id}" was not recorded; a policy is evaluated with hdpo eval, not on recorded rollouts`,
      )
    }
    return Promise.all(group.map((rollout) => checked(rollout, policy, temperature, staleness)))
  }
  return {
    tasks: groupTasks,
    count: [...groups.values()].flat().length,
    leftOut,
    runGroup: Object.assign(playBack, { identity: { recorded: hashOf(groups), staleness } }),
  }
}

async function readRecorded({ path, policy }: RecordedRolloutsOptions) {
  const byTask = new Map<string, Rollout[]>()
  const leftOut = { redacted: 0, abandoned: 0, alone: 0 }
  for await (const { value, where } of readRows(path, { numbers: 'own' })) {
    const line = value as Partial<Rollout> & { redacted?: boolean }
    if (line.redacted === true) leftOut.redacted++
    else if (line.end === 'aborted') leftOut.abandoned++
    else {
      const rollout = toRollout(value, where, policy)
      const rollouts = byTask.get(rollout.taskId)
      if (rollouts) rollouts.push(rollout)
      else byTask.set(rollout.taskId, [rollout])
    }
  }
  return { byTask, leftOut }
}

function toRollout(value: unknown, where: string, policy: TrainablePolicy): Rollout {
  const parsed = lineSchema.safeParse(value)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    throw recordedError(`${where}: is no recorded rollout: ${issue?.path.join('.')}: ${issue?.message}`)
  }
  const { moreSequences, ...line } = parsed.data
  const rollout = {
    ...line,
    ...typedArrays(line),
    ...(moreSequences && { moreSequences: moreSequences.map(typedArrays) }),
  } as unknown as Rollout
  for (const { tokens, mask, logprobs } of tokenSequences(rollout)) {
    if (tokens.length !== mask.length || tokens.length !== logprobs.length) {
      throw recordedError(`${where}: tokens, mask and logprobs have different lengths`)
    }
    if (tokens.length > policy.maxTokens) {
      throw recordedError(`${where}: has ${tokens.length} tokens, the policy takes ${policy.maxTokens}`)
    }
    const unknown = tokens.find((token) => token >= policy.tokenizer.vocabSize)
    if (unknown !== undefined) {
      throw recordedError(
        `${where}: token ${unknown} is not in the policy's vocabulary: another policy sampled it`,
      )
    }
  }
  return rollout
}

function typedArrays(arrays: { tokens: number[]; mask: number[]; logprobs: number[] }): TokenSequence {
  return {
    tokens: Int32Array.from(arrays.tokens),
    mask: Uint8Array.from(arrays.mask),
    logprobs: Float32Array.from(arrays.logprobs),
  }
}

/** The rollout; if it must not be trained on, with the reason as its `failure`. */
async function checked(
  rollout: Rollout,
  policy: TrainablePolicy,
  temperature: number,
  staleness: number,
): Promise<Rollout> {
  const other = rollout.sampling?.find((sampling) => sampling.temperature !== temperature)
  if (other) {
    const failure = `it was sampled at temperature ${other.temperature}, rollout.temperature is ${temperature}`
    return { ...rollout, failure }
  }
  const drift = await meanDifference(rollout, policy, temperature)
  if (drift <= staleness) return rollout
  const failure =
    `it is stale: the policy differs from the one that sampled it by ${drift.toFixed(3)} nats a token, ` +
    `more than staleness ${staleness}`
  return { ...rollout, failure }
}

async function meanDifference(
  rollout: Rollout,
  policy: TrainablePolicy,
  temperature: number,
): Promise<number> {
  const sequences = tokenSequences(rollout)
  const { tokens, offsets, mask } = packSequences(sequences)
  const now = (await policy.logprobs(tokens, offsets, { temperature })).logprobs
  const recorded = sequences.flatMap(({ logprobs }) => Array.from(logprobs))
  let sum = 0
  let count = 0
  mask.forEach((bit, at) => {
    if (bit === 0) return
    count++
    sum += Math.abs((now[at] as number) - (recorded[at] as number))
  })
  return count === 0 ? 0 : sum / count
}

async function tasksById(list: TaskList): Promise<Map<string, Task>> {
  const tasks = new Map<string, Task>()
  for (let index = 0; index < list.length; index++) {
    const task = await taskAt(list, index)
    tasks.set(task.id, task)
  }
  return tasks
}

function taskOf(id: string, [first]: readonly Rollout[], tasks: Map<string, Task> | undefined): Task {
  if (!tasks) {
    const asked = first?.messages.findIndex(({ role }) => role === 'assistant') ?? 0
    return { id, messages: first?.messages.slice(0, asked) ?? [], answer: undefined }
  }
  const task = tasks.get(id)
  if (task) return task
  throw recordedError(`task "${id}" was recorded, but is not among the tasks`)
}

function recordedError(message: string): HdpoError {
  return new HdpoError('ERR_RECORDED', message)
}
