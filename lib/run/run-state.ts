// state.json of a checkpoint: where a run stands, and which options must not change when it resumes.
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { HdpoError } from '../core/errors.js'
import { jsonText } from '../core/exact-json.js'
import { functionIdentity } from '../core/function-identity.js'
import { InvalidOptionError } from '../core/option-error.js'
import { version } from '../core/version.js'
import type { ToolDescription } from '../policy/types.js'
import type { TaskList } from '../tasks/task-list.js'
import type { Tool } from '../tools/types.js'
import { writeJson } from './checkpoint.js'
import type { FileDigest } from './file-digest.js'
import type { RecordDigests } from './record-digests.js'
import { firstDifference, type RunIdentity } from './run-identity.js'

export interface RunState {
  kind: 'policy' | 'supervised'
  step: number
  /** In a supervised run the number of examples taken so far, otherwise 0. */
  position: number
  skipped: SkipState
  /** Every option that determines the run's numbers, with defaults filled in. */
  identity: RunIdentity
  /** Of the weights that a KL term measures from, where they are in a file of the run folder. */
  reference?: FileDigest
  /** Of what had been recorded by then. */
  records?: RecordDigests
}

export interface SkipState {
  inARow: number
  total: number
}

export async function writeState(folder: string, state: RunState): Promise<void> {
  await writeJson(join(folder, 'state.json'), { version, ...state })
}

/** Reads the state. Throws ERR_RESUME, which names the first option that differs from the run's. */
export async function readState(
  folder: string,
  expected: Pick<RunState, 'kind' | 'identity'>,
): Promise<RunState> {
  const { version: writtenBy, ...state } = JSON.parse(
    await readFile(join(folder, 'state.json'), 'utf8'),
  ) as RunState & { version?: string }
  if (state.kind !== expected.kind) {
    throw new HdpoError('ERR_RESUME', `${folder} is of a ${state.kind} run, not of a ${expected.kind} run`)
  }
  const difference = firstDifference(...withEvaluationInBoth(state.identity, expected.identity))
  if (difference) {
    const { name, was, is } = difference
    const other =
      writtenBy === version
        ? ''
        : `; it was written by hdpo ${writtenBy ?? 'before 0.1.0'}, this is ${version}`
    throw new HdpoError(
      'ERR_RESUME',
      `${name} was ${was} when ${folder} was written and is ${is} now; a run cannot change it${other}`,
    )
  }
  return { ...state, identity: expected.identity }
}

/** Evaluations may begin or end with a resumed run; while they go on they ask the same. */
function withEvaluationInBoth(was: RunIdentity, is: RunIdentity): [RunIdentity, RunIdentity] {
  if (was.evaluate !== undefined && is.evaluate !== undefined) return [was, is]
  const { evaluate: _, ...wasTrained } = was
  const { evaluate: __, ...isTrained } = is
  return [wasTrained, isTrained]
}

/** The fingerprint of a list of tasks; a list may bring its own. */
export function taskFingerprint(tasks: TaskList): string {
  if (tasks.fingerprint !== undefined) return tasks.fingerprint
  if (Array.isArray(tasks)) return fingerprint(tasks)
  throw new InvalidOptionError('tasks', 'an array, or a list that has a fingerprint', tasks)
}

/** The fingerprint of what a policy reads about its tools. */
export function toolFingerprint(tools: readonly ToolDescription[]): string {
  return fingerprint(tools.map(({ name, description, parameters }) => ({ name, description, parameters })))
}

/** What the policy reads about its tools, what they do with a call, and what that costs. */
export function toolIdentity(tools: readonly Tool[]): Record<string, unknown> {
  return {
    names: tools.map(({ name }) => name),
    ...Object.fromEntries(
      tools.map((tool) => [
        tool.name,
        {
          described: toolFingerprint([tool]),
          run: tool.identity ?? functionIdentity(tool.run),
          ...(tool.cost !== undefined && {
            cost: typeof tool.cost === 'number' ? tool.cost : functionIdentity(tool.cost),
          }),
        },
      ]),
    ),
  }
}

/** A short hash that tells two data sets apart. */
export function fingerprint(items: readonly unknown[]): string {
  const hash = createHash('sha256')
  for (const item of items) hash.update(`${jsonText(item)}\n`)
  return hash.digest('hex').slice(0, 16)
}
