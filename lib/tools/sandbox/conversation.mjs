// @ts-check
// An interpreter's side of its conversation with the pool: a line of JSON in on descriptor 0, a line out on
// descriptor 3, one answer for one request. Reading blocks, so nothing runs between two calls.
//
// Code in the interpreter may reach the prototypes of JavaScript's objects and change them, with a toJSON that is asked what an answer
// says, for one. So whatever is called here was taken before any code ran, and answers have no prototype.
import fs from 'node:fs'

const { readSync, writeSync } = fs
const { parse, stringify } = JSON
const { wait } = Atomics
const { assign } = Object
const { concat, alloc } = Buffer
/** A method as a function of what it is called on. @type {(method: any) => any} */
const uncurried = Function.prototype.call.bind(Function.prototype.bind, Function.prototype.call)
/** @type {(bytes: Uint8Array, byte: number) => number} */
const indexOf = uncurried(Buffer.prototype.indexOf)
/** @type {(bytes: Uint8Array, start: number, end?: number) => Buffer<ArrayBuffer>} */
const subarray = uncurried(Uint8Array.prototype.subarray)
/** @type {(bytes: Uint8Array, encoding: string, start: number, end: number) => string} */
const toText = uncurried(Buffer.prototype.toString)
/** @type {(encoder: object, text: string) => Uint8Array} */
const encode = uncurried(TextEncoder.prototype.encode)
/** @type {(decoder: object, bytes: Uint8Array, options: object) => string} */
export const decode = uncurried(TextDecoder.prototype.decode)
/** @type {(text: string, start: number, end: number) => string} */
const slice = uncurried(String.prototype.slice)
/** @type {(bytes: Uint8Array) => number} */
const lengthOf = uncurried(
  Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), 'length')?.get,
)
const newline = 10
const chunkBytes = 65_536

/**
 * @typedef {{ id: string, code: string }} CellRequest
 * @typedef {{ id: string, output: string, characters: number, ended?: string }} CellReply
 */

/** @type {Uint8Array} */
let pending = alloc(0)

/** The next request; undefined where the pool has let go of this process. @returns {CellRequest | undefined} */
export function nextRequest() {
  const chunk = alloc(chunkBytes)
  for (;;) {
    const end = indexOf(pending, newline)
    if (end >= 0) {
      const line = toText(pending, 'utf8', 0, end)
      pending = subarray(pending, end + 1)
      return parse(line)
    }
    const count = readWaiting(chunk)
    if (count === 0) return undefined
    pending = concat([pending, subarray(chunk, 0, count)])
  }
}

/** @param {object} reply */
export function answer(reply) {
  const bytes = encode(encoder, `${stringify(assign({ __proto__: null }, reply))}\n`)
  const length = lengthOf(bytes)
  for (let sent = 0; sent < length; ) sent += writeSync(3, bytes, sent, length - sent)
}
const encoder = new TextEncoder()

/** A pipe is blocking unless its other end made it otherwise. @param {Buffer} chunk */
function readWaiting(chunk) {
  for (;;) {
    try {
      return readSync(0, chunk, 0, chunkBytes, null)
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
    if (this.text.length < this.limit) this.text += slice(text, 0, this.limit - this.text.length)
  }
}
