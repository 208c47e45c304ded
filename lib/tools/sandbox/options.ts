// The limits of sandboxed code, and the checks of them.
import { availableParallelism, totalmem } from 'node:os'
import { inspect } from 'node:util'
import { z } from 'zod'

export interface SandboxOptions {
  /** What the policy calls it. Default: the language. */
  name?: string
  description?: string
  /** CPU milliseconds of one call. Default 5,000. */
  cpuTime?: number
  /** Milliseconds of one call from its start, sleeping included, queueing not. Default 30,000. */
  wallTime?: number
  /** MiB of the interpreter's heap; Python itself takes 30 of them, QuickJS 16. Default 256 and 64. */
  memory?: number
  /** Characters of a result; longer ones are cut and say so. Default 8,000. */
  output?: number
  /** Calls that run at once; others wait their turn. Default: the cores. */
  concurrency?: number
  /**
   * Interpreters kept at once, one a rollout. Beyond it the one unused for longest is given up: the next call of
   * its rollout finds a new one and is told so. Default 64, fewer where memory is short.
   */
  interpreters?: number
}

export interface SandboxLimits {
  cpuTime: number
  wallTime: number
  memory: number
  output: number
  concurrency: number
  interpreters: number
}

/** setTimeout takes no more. */
const longestTime = 2 ** 31 - 1
const count = z.int().min(1)
const milliseconds = z.number().min(10).max(longestTime)

/** Throws a TypeError or RangeError that names the option. */
export function resolveSandboxOptions(
  options: SandboxOptions,
  defaults: { memory: number; leastMemory: number },
): SandboxLimits {
  const schema = z.strictObject({
    name: z
      .string()
      .regex(/^[A-Za-z0-9_-]{1,64}$/)
      .optional(),
    description: z.string().min(1).optional(),
    cpuTime: milliseconds.default(5000),
    wallTime: milliseconds.default(30_000),
    // WebAssembly has 32-bit addresses, and Pyodide's build stops at 2 GiB.
    memory: z.int().min(defaults.leastMemory).max(2048).default(defaults.memory),
    output: count.max(1_000_000).default(8000),
    concurrency: count.default(availableParallelism()),
    interpreters: count.optional(),
  })
  const parsed = schema.safeParse(options)
  if (!parsed.success) throw optionError(parsed.error.issues[0] as z.core.$ZodIssue, options)
  const { name: _, description: __, interpreters, ...limits } = parsed.data
  if (interpreters !== undefined && interpreters < limits.concurrency) {
    throw new RangeError(
      `interpreters: must be at least concurrency (${limits.concurrency}), got ${interpreters}`,
    )
  }
  return { ...limits, interpreters: interpreters ?? defaultInterpreters(limits) }
}

function optionError({ code, path, message }: z.core.$ZodIssue, options: SandboxOptions): Error {
  const given = path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown>)?.[key], options)
  const text = `${path.join('.') || 'options'}: ${message}, got ${inspect(given)}`
  return code === 'invalid_type' || code === 'unrecognized_keys' ? new TypeError(text) : new RangeError(text)
}

/** Half of what memory there is, were all interpreters to fill half of theirs. */
function defaultInterpreters({ memory, concurrency }: Pick<SandboxLimits, 'memory' | 'concurrency'>): number {
  const available = (process.constrainedMemory() || totalmem()) / 2 ** 20
  const fitting = Math.floor(available / 2 / Math.max(memory / 2, 64))
  return Math.max(concurrency, Math.min(64, fitting))
}
