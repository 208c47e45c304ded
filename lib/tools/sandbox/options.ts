// Limits of sandboxed code.
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
  /** The name that the policy calls the tool by. Default: the language. */
  name: toolName.optional(),
  /** The description that the policy reads. Default: the language, and what the sandbox lacks. */
  description: toolDescription.optional(),
  /** CPU milliseconds per call. Default 5,000. */
  cpuTime: milliseconds.min(shortestTime).default(5000),
  /** Wall-clock milliseconds per call, from its start: sleeping counts, queueing does not. Default 30,000. */
  wallTime: milliseconds.min(shortestTime).default(30_000),
  /**
   * MiB of the interpreter's heap, of which Python itself takes 30, QuickJS 16. At least 64 for Python, 32 for JavaScript.
   * Default 256 and 64.
   */
  memory: z.int().min(1).max(mostMemory).optional(),
  /** Characters per result; a longer one is cut and says so. Default 8,000. */
  output: count.max(1_000_000).default(8000),
  /** Calls that run at once; others wait. Default: the number of cores. */
  concurrency: count.optional(),
  /**
   * Interpreters kept at once, one per rollout. Beyond this the least recently used one is ended: the next call of its rollout
   * gets a new one and is told so. At least `concurrency`. Default 64, fewer where memory is short.
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

/** Fills in the defaults. Throws InvalidOptionError. */
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

/** So many interpreters that they take half of the memory when each fills half of its heap. */
function defaultInterpreters({ memory, concurrency }: Pick<SandboxLimits, 'memory' | 'concurrency'>): number {
  const available = (process.constrainedMemory() || totalmem()) / 2 ** 20
  const fitting = Math.floor(available / 2 / Math.max(memory / 2, 64))
  return Math.max(concurrency, Math.min(64, fitting))
}
