// metrics.jsonl of a run: a line for every step, in order.
import { join } from 'node:path'
import { HdpoError } from '../core/errors.js'
import { isRecord } from '../core/is-record.js'
import { readIfThere } from '../core/read-if-there.js'

export const metricsName = 'metrics.jsonl'

/**
 * Parses the lines of metrics.jsonl, none where there is no file. A last line without a newline was cut off during a write and is
 * left out. Rejects with ERR_RUN_FOLDER, naming the line, where another one holds no metrics.
 */
export async function readMetrics<Metrics extends { step: number }>(runPath: string): Promise<Metrics[]> {
  const path = join(runPath, metricsName)
  const text = (await readIfThere(path)) ?? ''
  return text
    .split('\n')
    .slice(0, -1)
    .map((line, index) => parseLine<Metrics>(line, `${path}:${index + 1}`))
}

/**
 * The metrics of the steps 1 to `step`. Rejects with ERR_RUN_FOLDER, naming line and step, where one is missing, comes twice or
 * out of order: the run would go on with a hole in its records.
 */
export async function metricsUpTo(runPath: string, step: number): Promise<{ step: number }[]> {
  const path = join(runPath, metricsName)
  const kept: { step: number }[] = []
  for (const [index, metrics] of (await readMetrics(runPath)).entries()) {
    if (metrics.step > step) continue
    if (metrics.step !== kept.length + 1) {
      throw damagedRecords(
        `${path}:${index + 1}: is of step ${metrics.step}, but step ${kept.length + 1} is due`,
        step,
      )
    }
    kept.push(metrics)
  }
  if (kept.length < step) throw damagedRecords(`${path}: has no line for step ${kept.length + 1}`, step)
  return kept
}

/** The error for records that a run cannot go on after. */
export function damagedRecords(what: string, step: number): HdpoError {
  return new HdpoError(
    'ERR_RUN_FOLDER',
    `${what}; the checkpoint to go on from is of step ${step}: bring the file back as it was, or begin in another folder`,
  )
}

function parseLine<Metrics extends { step: number }>(line: string, where: string): Metrics {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (error) {
    throw new HdpoError('ERR_RUN_FOLDER', `${where} is not JSON: ${(error as Error).message}`, {
      cause: error,
    })
  }
  if (isRecord(value) && Number.isSafeInteger(value.step) && Number(value.step) >= 1) return value as Metrics
  throw new HdpoError('ERR_RUN_FOLDER', `${where} is no metrics of a step: "step" must be 1, 2, 3 ...`)
}
