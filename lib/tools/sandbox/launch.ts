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
  /** What it is told as JSON, besides the limits. */
  settings: Record<string, unknown>
  /** Folders it may read, besides this one. */
  folders: readonly string[]
}

export interface Command {
  file: string
  arguments: string[]
}

/** Where the programs are, for them and for what they share. */
export const sandboxFolder = fileURLToPath(new URL('.', import.meta.url))
const shell = '/bin/sh'
// For both the V8 heap and what lies outside it; the interpreter's own memory comes on top.
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
    // One of these stands beside another: little memory and few threads each.
    '--max-semi-space-size=1',
    '--v8-pool-size=1',
    entry,
    JSON.stringify({ ...settings, memory, output }),
  ]
  const isolation = networkNamespace ? await isolatedNetwork() : []
  return { file: shell, arguments: ['-c', underLimits(limits), shell, ...isolation, ...node] }
}

/**
 * CPU seconds are for the life of the process: the pool ends a call long before, this ends one that nobody watches
 * any more. 'set -e': a limit that cannot be set is an error, not a sandbox without it.
 */
function underLimits({ cpuTime, memory }: SandboxLimits): string {
  const cpuSeconds = 60 + Math.ceil(cpuTime / 1000) * 20
  const dataKibibytes = (nodeDataMebibytes + memory) * 1024
  return `set -e; ulimit -c 0; ulimit -f 0; ulimit -n 128; ulimit -S -t ${cpuSeconds}; ulimit -d ${dataKibibytes}; exec "$@"`
}

/** The words before a command that give it a network namespace with nothing in it; none where that is not allowed. */
export function isolatedNetwork(): Promise<string[]> {
  isolation ??= findIsolation()
  return isolation
}
let isolation: Promise<string[]> | undefined
// Takes milliseconds; a busy machine must not be taken for one without namespaces.
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
