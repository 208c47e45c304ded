// state.json of a checkpoint: where a run stands, and the options that must not change when it goes on.
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { HdpoError } from '../core/errors.js'
import type { TaskList } from '../tasks/task-list.js'
import { writeJson } from './checkpoint.js'

export interface RunState {
  kind: 'policy' | 'supervised'
  step: number
  /** Supervised runs: examples taken so far. Otherwise 0. */
  position: number
  skipped: SkipState
  /** Options by name. */
  identity: Record<string, unknown>
}

export async function writeState(folder: string, state: RunState): Promise<void> {
  await writeJson(join(folder, 'state.json'), state)
}

/** Throws ERR_RESUME naming the first option that differs from the run's. */
export async function readState(
  folder: string,
  expected: Pick<RunState, 'kind' | 'identity'>,
): Promise<RunState> {
  const state = JSON.parse(await readFile(join(folder, 'state.json'), 'utf8')) as RunState
  if (state.kind !== expected.kind) {
    throw new HdpoError('ERR_RESUME', `${folder} is of a ${state.kind} run, not of a ${expected.kind} run`)
  }
  for (const name of new Set([...Object.keys(expected.identity), ...Object.keys(state.identity)])) {
    const [was, is] = [JSON.stringify(state.identity[name]), JSON.stringify(expected.identity[name])]
    if (was !== is) {
      throw new HdpoError(
        'ERR_RESUME',
        `${name} was ${was} when ${folder} was written and is ${is} now; a run cannot change it`,
      )
    }
  }
  return state
}

/** Of a list that knows its own, that one. */
export function taskFingerprint(tasks: TaskList): string {
  if (tasks.fingerprint !== undefined) return tasks.fingerprint
  if (Array.isArray(tasks)) return fingerprint(tasks)
  throw new TypeError('tasks: a list that is no array must have a fingerprint')
}

/** Short hash that tells two data sets apart. */
export function fingerprint(items: readonly unknown[]): string {
  const hash = createHash('sha256')
  for (const item of items) hash.update(`${JSON.stringify(item)}\n`)
  return hash.digest('hex').slice(0, 16)
}

export interface SkipState {
  inARow: number
  total: number
}
