// The limits of sandboxed code.
import { availableParallelism, totalmem } from 'node:os'
import { z } from 'zod'
import { count, milliseconds } from '../../core/option-kinds.js'
import { type OptionsOf, readOptions } from '../../core/options.js'
import { toolDescription, toolName } from '../tool-options.js'

const shortestTime = 10
// WebAssembly has 32-bit addresses, and Pyodide's build stops at 2 GiB.
const mostMemory = 2048
export type SandboxLanguage = 'python' | 'javascript'
const memoryOf = {
  python: z.int().min(64).max(mostMemory).default(256),
  javascript: z.int().min(32).max(mostMemory).default(64),
}

export const sandboxShape = {
  /** What the policy calls it. Default: the language. */
  name: toolName.optional(),
  /** What the policy reads about it. Default: the language, and what is not there. */
  description: toolDescription.optional(),
  /** CPU milliseconds of one call. Default 5,000. */
  cpuTime: milliseconds.min(shortestTime).default(5000),
  /** Milliseconds of one call from its start, sleeping included, queueing not. Default 30,000. */
  wallTime: milliseconds.min(shortestTime).default(30_000),
  /** MiB of the interpreter's heap; Python itself takes 30 of them, QuickJS 16. At least 64 and 32, default 256 and 64. */
  memory: z.int().min(1).max(mostMemory).optional(),
  /** Characters of a result; longer ones are cut and say so. Default 8,000. */
  output: count.max(1_000_000).default(8000),
  /** Calls that run at once; others wait their turn. Default: the cores. */
  concurrency: count.optional(),
  /**
   * Interpreters kept at once, one a rollout. Beyond it the one unused for longest is given up: the next call of
   * its rollout finds a new one and is told so. At least `concurrency`. Default 64, fewer where memory is short.
   */
  interpreters: count.optional(),
}
export interface SandboxOptions extends OptionsOf<typeof sandboxShape> {}

export interface SandboxLimits {
  cpuTime: number
  wallTime: number
  memory: number
  output: number
  concurrency: number
  interpreters: number
}

/** Throws InvalidOptionError. */
export function resolveSandboxOptions(options: SandboxOptions, language: SandboxLanguage): SandboxLimits {
  const schema = z
    .strictObject({
      ...sandboxShape,
      memory: memoryOf[language],
      concurrency: sandboxShape.concurrency.unwrap().default(availableParallelism()),
    })
    .superRefine(({ interpreters, concurrency }, { addIssue }) => {
      if (interpreters === undefined || interpreters >= concurrency) return
      addIssue({
        code: 'custom',
        path: ['interpreters'],
        message: `at least ${concurrency}, the concurrency`,
      })
    })
  const {
    name: _,
    description: __,
    interpreters,
    ...limits
  } = readOptions(schema, options, `${language}Tool`)
  return { ...limits, interpreters: interpreters ?? defaultInterpreters(limits) }
}

/** Half of what memory there is, were all interpreters to fill half of theirs. */
function defaultInterpreters({ memory, concurrency }: Pick<SandboxLimits, 'memory' | 'concurrency'>): number {
  const available = (process.constrainedMemory() || totalmem()) / 2 ** 20
  const fitting = Math.floor(available / 2 / Math.max(memory / 2, 64))
  return Math.max(concurrency, Math.min(64, fitting))
}
