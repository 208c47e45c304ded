// How an interpreter's process is started: Node with the least it can do with, under limits of the kernel's.
//
//   flags     no reading of files but the interpreter's own, no writing, no child processes, no threads, no native
//             addons (the permission model); no code from strings, so that no object leads to an eval
//   limits    no core dumps, no file written to, few descriptors, CPU seconds, data memory (ulimit)
//   network   none at all, where the kernel lets anybody have a network namespace of their own (Linux)
//   lockdown  what is left in JavaScript, shut by the program itself: lockdown.mjs
//
// Each layer holds alone against what the tests try; none relies on the code being polite.
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { HdpoError } from '../../core/errors.js'
import type { SandboxLimits } from './options.js'

export interface InterpreterProgram {
  /** The file that Node runs. */
  entry: string
  /** Passed to the program as JSON, together with the limits. */
  settings: Record<string, unknown>
  /** Folders that the program may read, besides the sandbox's own. */
  folders: readonly string[]
}

export interface Command {
  file: string
  arguments: string[]
}

/** The folder of the interpreters' programs and of the modules that they share. */
export const sandboxFolder = fileURLToPath(new URL('.', import.meta.url))
const shell = '/bin/sh'
// Covers V8's heap and its memory outside of the heap; the interpreter's own memory is added.
const nodeHeapMebibytes = 256
const nodeDataMebibytes = 1024

export async function launchCommand(
  { entry, settings, folders }: InterpreterProgram,
  limits: SandboxLimits,
  { networkNamespace = true }: { networkNamespace?: boolean } = {},
): Promise<Command> {
  if (!existsSync(shell)) {
    throw new HdpoError('ERR_SANDBOX_PLATFORM', `sandboxed code needs ${shell}, which Linux and macOS have`)
  }
  const { memory, output } = limits
  const node = [
    process.execPath,
    '--no-warnings',
    process.allowedNodeEnvironmentFlags.has('--permission') ? '--permission' : '--experimental-permission',
    ...[sandboxFolder, ...folders].map((folder) => `--allow-fs-read=${folder}`),
    '--disallow-code-generation-from-strings',
    `--max-old-space-size=${nodeHeapMebibytes}`,
    // Many of these processes run side by side, so each gets little memory and few threads.
    '--max-semi-space-size=1',
    '--v8-pool-size=1',
    entry,
    JSON.stringify({ ...settings, memory, output }),
  ]
  const isolation = networkNamespace ? await isolatedNetwork() : []
  return { file: shell, arguments: ['-c', underLimits(limits), shell, ...isolation, ...node] }
}

/**
 * CPU seconds limit the whole life of the process: the pool ends a call long before, so this ends only a process that nobody
 * watches any more. With 'set -e' a limit that cannot be set is an error, rather than a sandbox without it.
 */
function underLimits({ cpuTime, memory }: SandboxLimits): string {
  const cpuSeconds = 60 + Math.ceil(cpuTime / 1000) * 20
  const dataKibibytes = (nodeDataMebibytes + memory) * 1024
  return `set -e; ulimit -c 0; ulimit -f 0; ulimit -n 128; ulimit -S -t ${cpuSeconds}; ulimit -d ${dataKibibytes}; exec "$@"`
}

/** The command prefix that runs a program in an empty network namespace; empty where the kernel does not allow one. */
export function isolatedNetwork(): Promise<string[]> {
  isolation ??= findIsolation()
  return isolation
}
let isolation: Promise<string[]> | undefined
// The trial takes milliseconds; a busy machine must not be mistaken for one without namespaces.
const longestTrial = 60_000

async function findIsolation(): Promise<string[]> {
  const unshare = ['/usr/bin/unshare', '/bin/unshare'].find((path) => existsSync(path))
  if (unshare === undefined) return []
  const words = [unshare, '--user', '--net']
  return new Promise((resolve) => {
    execFile(unshare, [...words.slice(1), shell, '-c', ':'], { timeout: longestTrial }, (error) =>
      resolve(error ? [] : words),
    )
  })
}
