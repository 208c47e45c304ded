// The functions that the package exports, called in worker threads with arguments that are right but for a few places, or wrong
// altogether: a result or a refusal by name, never the end of the process. Arrays may be transferred away while the call goes on.
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import * as exported from '../../lib/index.js'
import { kernels } from '../../lib/kernels.js'
import { type CallSpecimen, callSpecimens } from './call-specimens.js'
import { arraysIn, type Mutation, mutate, mutation, oddities, oddity } from './mutations.js'
import { type OpenTarget, orRefusal, type Target } from './target.js'

export const boundary: Target = { name: 'boundary', shortRuns: 700, threads: 2, open }

interface Call {
  name: string
  mutations: Mutation[]
  /** Arguments that have nothing to do with the function, instead of mutated ones. */
  odd: string[] | null
  transfer: boolean
}

async function open(): Promise<OpenTarget> {
  // Relative paths that are made up go nowhere else: a thread cannot change the working directory, so functions get this one.
  const folder = mkdtempSync(join(tmpdir(), 'hdpo-fuzz-'))
  const { specimens, close } = await callSpecimens(folder)
  const all = new Map([...bare(), ...Object.entries(specimens)])
  const call: fc.Arbitrary<Call> = fc.record({
    name: fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom(...Object.keys(specimens)) },
      { weight: 1, arbitrary: fc.constantFrom(...all.keys()) },
    ),
    mutations: fc.array(mutation, { maxLength: 3 }),
    odd: fc.option(fc.array(oddity, { maxLength: 3 }), { freq: 8 }),
    transfer: fc.boolean(),
  })
  const property = fc.asyncProperty(call, (given) => make(all.get(given.name) as CallSpecimen, given))
  return {
    property,
    close: async () => {
      await close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Functions that have no specimen: whatever is exported next is called as well, with arguments that are all wrong. */
function bare(): [string, CallSpecimen][] {
  const functions = { ...exported, ...kernels } as Record<string, unknown>
  return Object.entries(functions)
    .filter(
      ([, value]) => typeof value === 'function' && !/^class /.test(Function.prototype.toString.call(value)),
    )
    .map(([name, value]) => [name, { args: () => [undefined], call: value as CallSpecimen['call'] }])
}

async function make({ args, call }: CallSpecimen, { mutations, odd, transfer }: Call): Promise<void> {
  const given = odd === null ? mutate(args(), mutations) : odd.map((name) => oddities[name]?.())
  // Found before the call, because a value may throw when it is looked into.
  const arrays = transfer && odd === null ? arraysIn(given) : []
  await orRefusal(async () => {
    const result = Promise.resolve(call(...given))
    takeAway(arrays)
    const settled = await result
    // Servers, lists of tasks, indexes.
    const { close } = (settled ?? {}) as { close?: unknown }
    if (typeof close === 'function') await close.call(settled)
  })
}

/** Takes the memory away from arrays that the call was given. */
function takeAway(arrays: readonly ArrayBufferView[]): void {
  for (const { buffer } of arrays) {
    if (!(buffer instanceof ArrayBuffer) || buffer.byteLength === 0) continue
    structuredClone(buffer, { transfer: [buffer] })
  }
}
