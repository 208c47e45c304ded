// A tool that runs code: the part that both languages share.
import { z } from 'zod'
import { defineTool } from '../define-tool.js'
import type { Tool } from '../types.js'
import { InterpreterPool, type PoolResult } from './interpreter-pool.js'
import type { InterpreterProcess } from './interpreter-process.js'
import type { SandboxLimits } from './options.js'

export interface CodeTool extends Tool<{ code: string }> {
  /** Ends the interpreters; calls under way fail. It need not be called before the process exits. */
  close(): Promise<void>
}

interface CodeToolParts {
  name: string
  description: string
  limits: SandboxLimits
  start(): Promise<InterpreterProcess>
  release?(): void
}

const longestCode = 100_000
// No time-out here: a call may wait in the queue for as long as others' code runs. The sandbox limits the code itself.
const timeout = 2 ** 31 - 1

export async function codeTool({
  name,
  description,
  limits,
  start,
  release,
}: CodeToolParts): Promise<CodeTool> {
  const pool = new InterpreterPool(start, limits)
  const tool = defineTool({
    name,
    description,
    input: z.object({ code: z.string().max(longestCode) }),
    timeout,
    identity: {
      cpuTime: limits.cpuTime,
      wallTime: limits.wallTime,
      memory: limits.memory,
      output: limits.output,
    },
    run: async ({ code }, context) => describe(await pool.run(code, context)),
  })
  const close = async () => {
    await pool.close()
    release?.()
    release = undefined
  }
  try {
    await pool.warm()
  } catch (error) {
    await close()
    throw error
  }
  return { ...tool, close }
}

// Lines that only this tool writes; in what code printed they get a backslash.
const ownNotes = /^\[(?:a new interpreter: |truncated: the first |no output\])/gm

function describe({ output, characters, fresh }: PoolResult): string {
  const start = fresh ? '[a new interpreter: what earlier calls defined is gone]\n' : ''
  const text = output.trimEnd().replaceAll(ownNotes, '\\$&') || '[no output]'
  const rest =
    characters > output.length ? `\n[truncated: the first ${output.length} of ${characters} characters]` : ''
  return `${start}${text}${rest}`
}
