// @ts-check
// An interpreter's side of its conversation with the pool: a line of JSON in on descriptor 0, a line out on
// descriptor 3, one answer for one request. Reading blocks, so nothing runs between two calls.
import fs from 'node:fs'

const { readSync, writeSync } = fs
const { parse, stringify } = JSON
const newline = 10

/**
 * @typedef {{ id: number, code: string }} CellRequest
 * @typedef {{ id: number, output: string, characters: number, ended?: string }} CellReply
 */

let pending = Buffer.alloc(0)
const decode = Buffer.prototype.toString
const { concat, alloc } = Buffer

/** The next request; undefined where the pool has let go of this process. @returns {CellRequest | undefined} */
export function nextRequest() {
  const chunk = alloc(65_536)
  for (;;) {
    const end = pending.indexOf(newline)
    if (end >= 0) {
      const line = decode.call(pending, 'utf8', 0, end)
      pending = pending.subarray(end + 1)
      return parse(line)
    }
    const count = readWaiting(chunk)
    if (count === 0) return undefined
    pending = concat([pending, chunk.subarray(0, count)])
  }
}

/** @param {object} reply */
export function answer(reply) {
  const bytes = encoder.encode(`${stringify(reply)}\n`)
  for (let sent = 0; sent < bytes.length; ) sent += writeSync(3, bytes, sent)
}
const encoder = new TextEncoder()

/** A pipe is blocking unless its other end made it otherwise. @param {Buffer} chunk */
function readWaiting(chunk) {
  for (;;) {
    try {
      return readSync(0, chunk, 0, chunk.length, null)
    } catch (error) {
      if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'EAGAIN') throw error
      pause(0.005)
    }
  }
}

/** Sleeps without using the CPU. @param {number} seconds */
export function pause(seconds) {
  wait(never, 0, 0, seconds * 1000)
}
const { wait } = Atomics
const never = new Int32Array(new SharedArrayBuffer(4))

/** What code printed, up to a limit; the rest is counted and dropped. */
export class BoundedOutput {
  /** @param {number} limit characters */
  constructor(limit) {
    this.limit = limit
    this.text = ''
    this.characters = 0
  }

  reset() {
    this.text = ''
    this.characters = 0
  }

  /** @param {string} text */
  write(text) {
    this.characters += text.length
    if (this.text.length < this.limit) this.text += text.slice(0, this.limit - this.text.length)
  }
}
