// The progress of a curation, one entry per line, from which a killed one resumes. The sets themselves are written from it anew.
// It is removed when the sets are complete.
import { existsSync } from 'node:fs'
import { appendFile, rm } from 'node:fs/promises'
import { isDeepStrictEqual } from 'node:util'
import writeFileAtomic from 'write-file-atomic'
import { HdpoError } from '../core/errors.js'
import { redactValue } from '../core/redact.js'
import { readText } from '../core/text-file.js'
import type { ReviewedTrace } from './reviewed-trace.js'

/** The first line is the identity; one line per part of the tasks and one per trace follow. A right share is null where ungraded. */
type Line =
  | { identity: Record<string, unknown> }
  | { from: number; rightShares: (number | null)[] }
  | ({ trace: number } & ReviewedTrace)

export class CurationJournal {
  /** Right shares of the parts of the tasks, by the index of a part's first task. */
  readonly parts = new Map<number, (number | null)[]>()
  /** Reviews by the index of the trace. */
  readonly reviews = new Map<number, ReviewedTrace>()
  #written: Promise<void> = Promise.resolve()

  private constructor(private readonly path: string) {}

  /** Resumes what `path` holds, if anything. Throws ERR_RESUME where that is another curation. */
  static async open(path: string, identity: Record<string, unknown>): Promise<CurationJournal> {
    const journal = new CurationJournal(path)
    // The identity in its JSON form, without undefined.
    const now = JSON.parse(JSON.stringify(identity)) as Record<string, unknown>
    const [first, ...lines] = existsSync(path) ? await wholeLines(path) : []
    for (const line of lines) journal.#take(line)
    if (first) checkSame((first as { identity: Record<string, unknown> }).identity, now, path)
    // A last line that was cut off is dropped, so that nothing is appended to it.
    const kept = [{ identity: now }, ...lines].map(toText).join('')
    await writeFileAtomic(path, kept)
    return journal
  }

  recordPart(from: number, rightShares: (number | null)[]): Promise<void> {
    return this.#append({ from, rightShares })
  }

  recordReview(trace: number, reviewed: ReviewedTrace): Promise<void> {
    return this.#append({ trace, ...reviewed })
  }

  remove(): Promise<void> {
    return rm(this.path, { force: true })
  }

  #take(line: Line): void {
    if ('rightShares' in line) this.parts.set(line.from, line.rightShares)
    else if ('trace' in line) {
      const { trace, review, matched } = line
      // A trace that could not be graded may be graded now, e.g. because the judge was down.
      const ungraded = !review.keep && review.reason.startsWith('ungraded-')
      if (!ungraded) this.reviews.set(trace, { review, matched })
    }
  }

  /** Lines are written one after the other, so that they never mix. */
  #append(line: Line): Promise<void> {
    this.#written = this.#written.then(() => appendFile(this.path, toText(line)))
    return this.#written
  }
}

function toText(line: Line): string {
  return `${JSON.stringify(redactValue(line))}\n`
}

/** The complete lines; one that was cut off during a write is left out. */
async function wholeLines(path: string): Promise<Line[]> {
  const texts = (await readText(path, 'ERR_RESUME')).split('\n').slice(0, -1)
  return texts.map((text, index) => {
    try {
      return JSON.parse(text) as Line
    } catch (error) {
      throw new HdpoError('ERR_RESUME', `${path}:${index + 1} is not JSON: ${(error as Error).message}`, {
        cause: error,
      })
    }
  })
}

function checkSame(was: Record<string, unknown>, now: Record<string, unknown>, path: string): void {
  for (const name of new Set([...Object.keys(was), ...Object.keys(now)])) {
    if (isDeepStrictEqual(was[name], now[name])) continue
    throw new HdpoError(
      'ERR_RESUME',
      `${name} was ${JSON.stringify(was[name])} when ${path} was begun and is ${JSON.stringify(now[name])} now`,
    )
  }
}
