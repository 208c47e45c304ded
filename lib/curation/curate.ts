// Makes cold-start and RL sets from tasks and tool traces, as the HDPO paper does. It measures what the policy knows without
// tools, and drops traces whose calls fail when run again, traces of known questions and, with a judge, traces whose calls make
// no sense. It writes rl.jsonl, cold-start.jsonl, dropped.jsonl (with reasons) and curation.json (counts).
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import writeFileAtomic from 'write-file-atomic'
import { z } from 'zod'
import { HdpoError } from '../core/errors.js'
import { jsonText } from '../core/exact-json.js'
import { whileHeld } from '../core/folder-lock.js'
import { readJsonObject } from '../core/json-file.js'
import { mapConcurrent } from '../core/map-concurrent.js'
import { callback, count, instance, list, path, seed, signal } from '../core/option-kinds.js'
import { type OptionsOf, type ResolvedOptions, readOptions } from '../core/options.js'
import type { ProgressReport } from '../core/progress.js'
import { redactValue } from '../core/redact.js'
import { makeWritable } from '../core/writable.js'
import type { Message, RolloutPolicy } from '../policy/types.js'
import { checkAnswers } from '../rewards/check-answers.js'
import { Judge, type JudgeStatistics } from '../rewards/judge/judge.js'
import { rubricOptions } from '../rewards/judge/options.js'
import { rewardOptions } from '../rewards/reward-options.js'
import { rolloutOptions } from '../rollout/options.js'
import { runExists } from '../run/run-folder.js'
import { fingerprint, taskFingerprint } from '../run/run-state.js'
import { eachTask, type TaskList, taskList } from '../tasks/task-list.js'
import { toolList } from '../tools/tool-list.js'
import type { ImportedConversation } from '../traces/conversation.js'
import { CurationJournal } from './journal.js'
import { markKnown } from './known-tasks.js'
import type { KnowledgeMark, MarkedTask } from './marked-task.js'
import { rationaleRubric } from './rationale.js'
import { type DropReason, dropReasons, type Review, reviewTrace } from './review-trace.js'

export const curateShape = {
  /** The policy before any training. */
  policy: instance<RolloutPolicy>('a policy'),
  /** An array, or what openTasks returns. */
  tasks: taskList,
  /** Tools that run the calls of traces again, to check that these work. */
  tools: toolList,
  /** How answers are graded. */
  reward: rewardOptions,
  /** Options of a rollout: turns, tokens, temperature and so on. */
  rollout: rolloutOptions.prefault({}),
  /** How often each question is asked without tools. Default 8. */
  samples: count.default(8),
  /** Conversations from which the cold-start set is taken. Default: none. */
  traces: list<ImportedConversation>().default([]),
  /** A judge that is asked whether each trace's tool use is sensible. Default: no judge. */
  rationale: rubricOptions.optional(),
  /** The folder that the sets are written to; one that holds sets already is refused unless `resume`. */
  output: path,
  /** Resume a killed curation in `output`; for a finished one, return its summary. Default false. */
  resume: z.boolean().default(false),
  /** Determines everything random. Default 0. */
  seed: seed.default(0),
  /** Traces reviewed at once. Default 16. */
  concurrency: count.default(16),
  /** Stops the curation, which then rejects with the signal's reason and can be resumed. */
  signal: signal.optional(),
  /** Called after each task, then after each trace. */
  onProgress: callback<(progress: CurationProgress) => void>().optional(),
}
const curateOptions = z.strictObject(curateShape)
export interface CurateOptions extends OptionsOf<typeof curateShape> {}
type ResolvedCurate = ResolvedOptions<typeof curateShape>

export interface CurationProgress extends ProgressReport {
  phase: 'tasks' | 'traces'
}

export interface CurationSummary {
  tasks: number
  /** Number of tasks by what the policy knows. Ungraded ones are in no set. */
  knowledge: Record<KnowledgeMark, number>
  traces: number
  keptTraces: number
  /** Number of traces by why they were dropped. */
  dropped: Record<DropReason, number>
  /** Traces whose question no task has, so neither the policy's knowledge nor the answer could be checked. */
  unmatchedTraces: number
  /** Statistics of the rationale judge. */
  judge?: JudgeStatistics
}

const names = {
  rl: 'rl.jsonl',
  coldStart: 'cold-start.jsonl',
  dropped: 'dropped.jsonl',
  summary: 'curation.json',
  journal: 'progress.jsonl',
}

/** Throws InvalidOptionError before any work. */
export async function curate(given: CurateOptions): Promise<CurationSummary> {
  const options = readOptions(curateOptions, given, 'curate')
  return whileHeld(options.output, () => curateInto(options))
}

async function curateInto(options: ResolvedCurate): Promise<CurationSummary> {
  const { tasks, traces, output } = options
  const judge = options.rationale && judgeOf(options.rationale)
  const finished = await checkCurationFolder(output, options)
  if (finished) return finished
  await checkAnswers(options.reward.answer, eachTask(tasks), options.signal)
  const journal = await CurationJournal.open(join(output, names.journal), identityOf(options))
  const { knowledge, byQuestion } = await writeTasks(options, journal)
  const reviewed = await writeTraces(options, byQuestion, judge, journal)
  const summary: CurationSummary = {
    tasks: tasks.length,
    knowledge,
    traces: traces.length,
    ...reviewed,
    ...(judge && { judge: judge.statistics }),
  }
  await writeFileAtomic(join(output, names.summary), `${JSON.stringify(summary, null, 2)}\n`)
  await journal.remove()
  return summary
}

function judgeOf({ rubric: _, ...options }: NonNullable<ResolvedCurate['rationale']>): Judge {
  return new Judge(options)
}

/** The options that a resumed curation may not change. */
function identityOf({ tasks, traces, seed, samples, rollout, rationale }: ResolvedCurate) {
  return {
    seed,
    samples,
    tasks: taskFingerprint(tasks),
    traces: fingerprint(traces),
    rollout,
    rationale: rationale && fingerprint([rationale.model, rationale.rubric ?? rationaleRubric]),
  }
}

/** Finds the task of a trace by a 16-byte hash of its question, so that long questions take no memory. */
type ByQuestion = Map<string, { index: number; mark: KnowledgeMark }>

async function writeTasks(options: ResolvedCurate, journal: CurationJournal) {
  const { policy, tasks, tools, reward, rollout, samples, seed, signal, output, onProgress } = options
  const knowledge = { known: 0, partly: 0, needed: 0, ungraded: 0 }
  const byQuestion: ByQuestion = new Map()
  let done = 0
  const asking = {
    policy,
    tools,
    reward,
    samples,
    rollout,
    seed,
    ...(signal && { signal }),
  }
  const marked = markKnown(tasks, asking, journal)
  await writeLines(output, [names.rl, names.dropped], 'w', async (rl, dropped) => {
    for await (const { task, mark, rightShare } of marked) {
      byQuestion.set(questionKey(task.messages), { index: done, mark })
      knowledge[mark]++
      onProgress?.({ phase: 'tasks', done: ++done, total: tasks.length })
      if (rightShare === undefined) {
        await dropped({ task, reason: 'ungraded', detail: 'the reward could not grade every sample' })
      } else {
        await rl({
          ...task,
          metadata: { ...task.metadata, knowledge: mark, rightShareWithoutTools: rightShare },
        })
      }
    }
  })
  return { knowledge, byQuestion }
}

async function writeTraces(
  options: ResolvedCurate,
  byQuestion: ByQuestion,
  judge: Judge | undefined,
  journal: CurationJournal,
) {
  const { tasks, tools, reward, rollout, traces, output, concurrency, onProgress } = options
  const signal = options.signal ?? new AbortController().signal
  const rubric = options.rationale?.rubric ?? rationaleRubric
  let done = 0
  const results = await mapConcurrent(traces, concurrency, async (trace, index) => {
    signal.throwIfAborted()
    const before = journal.reviews.get(index)
    if (before) {
      onProgress?.({ phase: 'traces', done: ++done, total: traces.length })
      return before
    }
    const marked = await taskOf(trace, tasks, byQuestion)
    const review = await reviewTrace(trace, {
      id: `trace-${index + 1}`,
      tools,
      reward,
      marked,
      signal,
      rollout,
      ...(judge && { rationale: { judge, rubric } }),
    })
    const reviewed = { review, matched: marked !== undefined }
    await journal.recordReview(index, reviewed)
    onProgress?.({ phase: 'traces', done: ++done, total: traces.length })
    return reviewed
  })
  await writeLines(output, [names.coldStart, names.dropped], 'a', async (coldStart, dropped) => {
    for (const [index, { review }] of results.entries()) {
      const { source: _, ...trace } = traces[index] as ImportedConversation
      if (review.keep) await coldStart(trace)
      else
        await dropped({
          trace: index + 1,
          reason: review.reason,
          detail: review.detail,
          messages: trace.messages,
        })
    }
  })
  return {
    keptTraces: results.filter(({ review }) => review.keep).length,
    dropped: countReasons(results.map(({ review }) => review)),
    unmatchedTraces: results.filter(({ matched }) => !matched).length,
  }
}

async function taskOf(
  trace: ImportedConversation,
  tasks: TaskList,
  byQuestion: ByQuestion,
): Promise<MarkedTask | undefined> {
  const found = byQuestion.get(questionKey(trace.messages))
  const task = found && (await tasks.at(found.index))
  return task && found && { task, mark: found.mark, rightShare: undefined }
}

/**
 * The user messages before the first assistant message, ignoring white space and case. System messages are left out, because a
 * trace may have another one.
 */
function questionKey(messages: readonly Message[]): string {
  const first = messages.findIndex(({ role }) => role === 'assistant')
  const asked = messages
    .slice(0, first === -1 ? messages.length : first)
    .filter(({ role }) => role === 'user')
    .map(({ content }) => content.normalize('NFC').trim().replace(/\s+/g, ' ').toLowerCase())
  return createHash('sha256').update(JSON.stringify(asked)).digest('base64').slice(0, 22)
}

function countReasons(reviews: readonly Review[]): Record<DropReason, number> {
  const counts = Object.fromEntries(dropReasons.map((reason) => [reason, 0])) as Record<DropReason, number>
  for (const review of reviews) if (!review.keep) counts[review.reason]++
  return counts
}

type WriteLine = (value: object) => Promise<void>

/** Writes two files of the folder from their beginning; secrets are redacted. */
async function writeLines(
  folder: string,
  [first, second]: [string, string],
  flags: 'w' | 'a',
  work: (first: WriteLine, second: WriteLine) => Promise<void>,
): Promise<void> {
  const one = await open(join(folder, first), flags)
  const two = await open(join(folder, second), flags)
  const writer =
    (file: typeof one): WriteLine =>
    (value) =>
      file.appendFile(`${jsonText(redactValue(value))}\n`)
  try {
    await work(writer(one), writer(two))
  } finally {
    await one.close()
    await two.close()
  }
}

/**
 * Refuses a folder that a curation cannot write its sets into, before a model is loaded for it. Returns the summary of a finished
 * curation that is to be resumed.
 */
export async function checkCurationFolder(
  output: string,
  { resume = false }: { resume?: boolean },
): Promise<CurationSummary | undefined> {
  await makeWritable(output)
  const has = (name: string) => existsSync(join(output, name))
  if (!Object.values(names).some(has)) return undefined
  if (!resume) throw runExists(output, 'a curation')
  if (has(names.summary)) {
    return (await readJsonObject(join(output, names.summary), 'ERR_RESUME')) as unknown as CurationSummary
  }
  if (has(names.journal)) return undefined
  throw new HdpoError('ERR_RESUME', `output: ${output} holds sets, but no ${names.journal} to go on from`)
}
