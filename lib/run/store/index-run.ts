// Updates run.sqlite from metrics.jsonl and rollouts/, which are the source of truth. The same code serves the trainer, the
// dashboard and the exporter, and repairs the index of a run that crashed, was resumed (its steps are taken again) or was made
// without an index. Each file is one transaction.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { HdpoError } from '../../core/errors.js'
import { readTextSync } from '../../core/text-file.js'
import { flattenMetrics } from '../../loggers/flatten-metrics.js'
import type { Database } from './database.js'
import { insertRollout, type RecordedRollout, rolloutId } from './rollout-record.js'

export interface IndexProgress {
  /** Rollout files that this pass has indexed, of `total`. */
  done: number
  total: number
}

const metricsName = 'metrics.jsonl'
const stepFile = /^step-(\d+)\.jsonl$/

/** Yields after each file, so that a caller can do other work between. */
export function* indexRun(database: Database, runPath: string): Generator<IndexProgress, void, void> {
  indexMetrics(database, runPath)
  const recorded = stepFiles(runPath)
  const known = new Map(
    database
      .rows<{ name: string; fingerprint: string }>('SELECT name, fingerprint FROM source')
      .filter(({ name }) => name !== metricsName)
      .map(({ name, fingerprint }) => [name, fingerprint]),
  )
  for (const name of known.keys()) if (!recorded.has(name)) forgetStep(database, name)
  const pending = [...recorded].filter(
    ([name]) => known.get(name) !== fingerprint(join(runPath, 'rollouts', name)),
  )
  for (const [done, [name, step]] of pending.entries()) {
    indexStep(database, join(runPath, 'rollouts', name), name, step)
    yield { done: done + 1, total: pending.length }
  }
}

/** The files of rollouts/ with their steps, the newest first, because people look at new steps while the rest is indexed. */
function stepFiles(runPath: string): Map<string, number> {
  const folder = join(runPath, 'rollouts')
  if (!existsSync(folder)) return new Map()
  const steps = readdirSync(folder)
    .map((name): [string, number] => [name, Number(stepFile.exec(name)?.[1] ?? -1)])
    .filter(([, step]) => step >= 0)
  return new Map(steps.sort(([, a], [, b]) => b - a))
}

/** Changes when the file does. Undefined where there is no such file (a resumed run has removed it meanwhile). */
function fingerprint(path: string): string | undefined {
  const status = statSync(path, { throwIfNoEntry: false })
  return status && `${status.ino}:${status.size}:${status.mtimeMs}`
}

function indexStep(database: Database, path: string, name: string, step: number): void {
  const before = fingerprint(path)
  if (before === undefined) return
  const records = readLines(path).map(({ text, line }) => parse<RecordedRollout>(text, path, line))
  database.transaction(() => {
    if (sourceOf(database, name) === before) return // another process was faster
    removeRollouts(database, step)
    for (const [line, record] of records.entries()) insertRollout(database, step, line, record)
    setSource(database, name, before)
  })
}

function forgetStep(database: Database, name: string): void {
  database.transaction(() => {
    removeRollouts(database, Number(stepFile.exec(name)?.[1]))
    database.sql('DELETE FROM source WHERE name = ?').run(name)
  })
}

function removeRollouts(database: Database, step: number): void {
  const range = [rolloutId(step, 0), rolloutId(step + 1, 0)] as const
  database.sql('DELETE FROM rollout_text WHERE rowid >= ? AND rowid < ?').run(...range)
  database.sql('DELETE FROM rollouts WHERE id >= ? AND id < ?').run(...range)
}

/** Reads only appended lines where the file is the one that was read before, all lines where a resumed run has rewritten it. */
function indexMetrics(database: Database, runPath: string): void {
  const path = join(runPath, metricsName)
  const status = statSync(path, { throwIfNoEntry: false })
  const file = status ? `${status.ino}:${status.birthtimeMs}` : 'none'
  const [known, offset = '0'] = (sourceOf(database, metricsName) ?? '').split('@')
  const goesOn = known === file && Number(offset) <= (status?.size ?? 0)
  if (goesOn && Number(offset) === (status?.size ?? 0)) return
  const content = status ? readFileSync(path) : Buffer.alloc(0)
  database.transaction(() => {
    if (!goesOn) database.exec('DELETE FROM steps; DELETE FROM metrics')
    const start = goesOn ? Number(offset) : 0
    const end = content.lastIndexOf(0x0a) + 1 // a line without its newline is still being written
    const lines = content.subarray(start, Math.max(start, end)).toString('utf8').split('\n').slice(0, -1)
    for (const [line, text] of lines.entries()) insertMetrics(database, parse(text, path, line + 1), text)
    setSource(database, metricsName, `${file}@${Math.max(start, end)}`)
  })
}

function insertMetrics(database: Database, metrics: { step: number }, text: string): void {
  database.sql('INSERT OR REPLACE INTO steps (step, metrics) VALUES (?, ?)').run(metrics.step, text)
  const insert = database.sql('INSERT OR REPLACE INTO metrics (name, step, value) VALUES (?, ?, ?)')
  for (const [name, value] of Object.entries(flattenMetrics(metrics))) insert.run(name, metrics.step, value)
}

function readLines(path: string): { text: string; line: number }[] {
  return readTextSync(path, 'ERR_RUN_FOLDER')
    .split('\n')
    .map((text, index) => ({ text, line: index + 1 }))
    .filter(({ text }) => text !== '')
}

function parse<Value extends object>(text: string, path: string, line: number): Value {
  try {
    return JSON.parse(text) as Value
  } catch (error) {
    throw new HdpoError('ERR_RUN_FOLDER', `${path}:${line} is not JSON: ${(error as Error).message}`, {
      cause: error,
    })
  }
}

function sourceOf(database: Database, name: string): string | undefined {
  return database.row<{ fingerprint: string }>('SELECT fingerprint FROM source WHERE name = ?', name)
    ?.fingerprint
}

function setSource(database: Database, name: string, value: string): void {
  database.sql('INSERT OR REPLACE INTO source (name, fingerprint) VALUES (?, ?)').run(name, value)
}
