// What both trainers share: take steps, record them, save when due, go on where an earlier process stopped.
import { basename, join, resolve } from 'node:path'
import { z } from 'zod'
import { signal as signalOption } from '../core/option-kinds.js'
import { readOptions } from '../core/options.js'
import { redactValue } from '../core/redact.js'
import { LoggerQueue } from '../loggers/logger-queue.js'
import type { RunLogger, RunOutcome } from '../loggers/types.js'
import { describeConfig } from '../run/describe-config.js'
import { EventLog } from '../run/event-log.js'
import { RunFolder } from '../run/run-folder.js'
import type { RunIdentity } from '../run/run-identity.js'
import { type RunState, readState, writeState } from '../run/run-state.js'
import { BackgroundIndex } from '../run/store/background-index.js'
import { SkipGuard } from './skip-guard.js'
import type { TrainablePolicy } from './trainable-policy.js'

export interface RunOptions {
  /** Aborting it finishes the running step, saves and ends the loop. */
  signal?: AbortSignal
  /**
   * Go on from the run folder's newest complete checkpoint. Default false: a folder that holds a run is refused.
   */
  resume?: boolean
}

const runOptions = z.strictObject({ signal: signalOption.optional(), resume: z.boolean().optional() })

/** Where a run stands; each step advances `position`. */
export interface Progress {
  /** Supervised runs: examples taken so far. */
  position: number
  readonly skips: SkipGuard
  /** Reports something worth knowing that does not stop the run. */
  readonly warn: (message: string) => void
}

export interface RecordedStep {
  step: number
  metrics: { step: number; skipped: boolean }
  /** Folder of the checkpoint, on the steps that write one. */
  checkpoint?: string
}

interface LoopOptions<Step extends RecordedStep> {
  kind: RunState['kind']
  policy: TrainablePolicy
  steps: number
  /** What a resumed run may not change, besides the policy's own identity. */
  identity: RunIdentity
  /** Kept as config.yaml. Default: the identity. */
  config?: unknown
  output: string
  checkpointEvery: number
  keepCheckpoints: number
  maxSkippedSteps: number
  onWarning: (message: string) => void
  loggers: readonly RunLogger[]
  /** Keep run.sqlite up to date during the run. */
  index: boolean
  /**
   * Called before the weights of a checkpoint are loaded, with its state where there is one. Resolves with what the run's
   * checkpoints say besides.
   */
  prepare?: (folder: RunFolder, resumed?: RunState) => Promise<Pick<RunState, 'reference'>>
  takeStep: (step: number, progress: Progress) => Promise<Step>
  /** Lines of rollouts/step-<N>.jsonl. */
  describeRollouts?: (step: Step) => object[]
}

/** Where steps are recorded. */
interface Records {
  folder: RunFolder
  loggers: LoggerQueue
  index: BackgroundIndex | undefined
}

/** Yields after each step; by then its metrics, rollouts and checkpoint are in the run folder. */
/** Throws InvalidOptionError for what is no such option; a Trainer's run() calls it at once. */
export function checkRunOptions(given: RunOptions): void {
  readOptions(runOptions, given, 'run')
}

export async function* runLoop<Step extends RecordedStep>(
  options: LoopOptions<Step>,
  { signal, resume = false }: RunOptions,
): AsyncGenerator<Step, void, void> {
  const { output, keepCheckpoints, onWarning } = options
  const folder = await RunFolder.open(output, { resume, keepCheckpoints, warn: onWarning })
  try {
    yield* recordedRun(options, folder, signal)
  } finally {
    await folder.close()
  }
}

async function* recordedRun<Step extends RecordedStep>(
  options: LoopOptions<Step>,
  folder: RunFolder,
  signal: AbortSignal | undefined,
): AsyncGenerator<Step, void, void> {
  const { onWarning } = options
  const events = new EventLog(folder, onWarning)
  const warn = (message: string) => events.warn(message)
  const loggers = new LoggerQueue(options.loggers, { warn })
  const index = options.index ? new BackgroundIndex(folder.path, warn) : undefined
  let outcome: RunOutcome = 'stopped'
  try {
    const identity = { ...options.identity, ...(await identityOf(options.policy)) }
    const loop = { ...options, identity, config: options.config ?? identity, onWarning: warn }
    const last = yield* takeSteps(loop, { folder, loggers, index }, signal)
    if (last === options.steps) outcome = 'finished'
  } catch (error) {
    outcome = 'failed'
    events.failed(error)
    throw error
  } finally {
    await loggers.end(outcome)
    await index?.close()
    await events.written()
  }
}

async function identityOf(policy: TrainablePolicy): Promise<RunIdentity> {
  return policy.identity ? { policy: await policy.identity() } : {}
}

async function* takeSteps<Step extends RecordedStep>(
  options: LoopOptions<Step>,
  { folder, loggers, index }: Records,
  signal: AbortSignal | undefined,
): AsyncGenerator<Step, number, void> {
  const { steps, checkpointEvery, onWarning } = options
  const state = await restore(options, folder)
  // Of a run that has taken all its steps nothing is changed.
  if (state.step >= steps) return state.step
  await folder.goBackToCheckpoint()
  await folder.writeConfig(options.config)
  loggers.start({
    name: basename(resolve(folder.path)),
    folder: folder.path,
    config: redactValue(describeConfig(options.config)),
    resumedFrom: state.step,
  })
  const progress = {
    position: state.position,
    skips: new SkipGuard(options.maxSkippedSteps, state.skipped),
    warn: onWarning,
  }
  const { skips } = progress
  let step = state.step
  let savedAt = step
  let lastGood = folder.resumedFrom?.folder
  const save = async () => {
    // After a skipped step the weights may be damaged; a step that succeeds shows that they are not, and is saved.
    if (skips.state.inARow > 0 || savedAt === step) return
    const records = await folder.recordDigests()
    const { position } = progress
    const reached = { ...state, step, position, skipped: skips.state, ...(records && { records }) }
    const checkpoint = await folder.saveCheckpoint(step, (path) => writeCheckpoint(options, path, reached))
    savedAt = step
    lastGood = checkpoint.folder
  }

  while (step < steps && !signal?.aborted) {
    step++
    const taken = await options.takeStep(step, progress)
    if (options.describeRollouts) await folder.writeRollouts(step, options.describeRollouts(taken))
    await folder.appendMetrics(taken.metrics)
    loggers.log(taken.metrics)
    index?.update()
    if (taken.metrics.skipped) onWarning(`step ${step} was skipped: ${skips.reason}`)
    if (skips.exhausted) throw skips.error(step, lastGood)
    if (step - savedAt >= checkpointEvery || step === steps || signal?.aborted) await save()
    yield savedAt === step && lastGood !== undefined ? { ...taken, checkpoint: lastGood } : taken
  }
  // The run was interrupted while the caller held the last step.
  await save()
  return step
}

async function restore<Step extends RecordedStep>(
  options: LoopOptions<Step>,
  folder: RunFolder,
): Promise<RunState> {
  const { kind, identity, policy } = options
  const checkpoint = folder.resumedFrom
  const resumed = checkpoint && (await readState(checkpoint.folder, { kind, identity }))
  if (resumed) await folder.checkRecords(resumed)
  const start = resumed ?? { kind, step: 0, position: 0, skipped: { inARow: 0, total: 0 }, identity }
  const state: RunState = { ...start, ...(await options.prepare?.(folder, resumed)) }
  if (checkpoint) {
    await policy.loadCheckpoint(checkpoint.folder)
    await policy.loadOptimizer(join(checkpoint.folder, 'optimizer.safetensors'))
  }
  return state
}

async function writeCheckpoint<Step extends RecordedStep>(
  { policy }: LoopOptions<Step>,
  path: string,
  state: RunState,
): Promise<void> {
  await policy.saveCheckpoint(path)
  await policy.saveOptimizer(join(path, 'optimizer.safetensors'))
  await writeState(path, state)
}
