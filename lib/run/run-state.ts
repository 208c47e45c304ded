// state.json of a checkpoint: where a run stands, and what must not change when it goes on.
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { HdpoError } from '../core/errors.js'
import { InvalidOptionError } from '../core/option-error.js'
import { version } from '../core/version.js'
import type { ToolDescription } from '../policy/types.js'
import type { TaskList } from '../tasks/task-list.js'
import { writeJson } from './checkpoint.js'
import { firstDifference, type RunIdentity } from './run-identity.js'

export interface RunState {
  kind: 'policy' | 'supervised'
  step: number
  /** Supervised runs: examples taken so far. Otherwise 0. */
  position: number
  skipped: SkipState
  /** Everything that makes the numbers, with every default in it. */
  identity: RunIdentity
}

export interface SkipState {
  inARow: number
  total: number
}

export async function writeState(folder: string, state: RunState): Promise<void> {
  await writeJson(join(folder, 'state.json'), { version, ...state })
}

/** Throws ERR_RESUME naming the first option that differs from the run's. */
export async function readState(
  folder: string,
  expected: Pick<RunState, 'kind' | 'identity'>,
): Promise<RunState> {
  const state = JSON.parse(await readFile(join(folder, 'state.json'), 'utf8')) as RunState & {
    version?: string
  }
  if (state.kind !== expected.kind) {
    throw new HdpoError('ERR_RESUME', `${folder} is of a ${state.kind} run, not of a ${expected.kind} run`)
  }
  const difference = firstDifference(state.identity, expected.identity)
  if (difference) {
    const { name, was, is } = difference
    const other =
      state.version === version
        ? ''
        : `; it was written by hdpo ${state.version ?? 'before 0.1.0'}, this is ${version}`
    throw new HdpoError(
      'ERR_RESUME',
      `${name} was ${was} when ${folder} was written and is ${is} now; a run cannot change it${other}`,
    )
  }
  return state
}

/** A list that knows its own fingerprint says it. */
export function taskFingerprint(tasks: TaskList): string {
  if (tasks.fingerprint !== undefined) return tasks.fingerprint
  if (Array.isArray(tasks)) return fingerprint(tasks)
  throw new InvalidOptionError('tasks', 'an array, or a list that has a fingerprint', tasks)
}

/** What a policy reads of its tools. */
export function toolFingerprint(tools: readonly ToolDescription[]): string {
  return fingerprint(tools.map(({ name, description, parameters }) => ({ name, description, parameters })))
}

/** Short hash that tells two data sets apart. */
export function fingerprint(items: readonly unknown[]): string {
  const hash = createHash('sha256')
  for (const item of items) hash.update(`${JSON.stringify(item)}\n`)
  return hash.digest('hex').slice(0, 16)
}
