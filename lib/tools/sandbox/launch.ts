// How an interpreter's process is started: Node with the least it can do with, under limits of the kernel's.
//
//   flags     no reading of files but the interpreter's own, no writing, no child processes, no threads, no native
//             addons (the permission model); no code from strings, so that no object leads to an eval
//   limits    no core dumps, no file written to, few descriptors, CPU seconds, data memory (ulimit)
//   lifeline  ends with the process that started it, even where that was killed in the middle of a call
//   network   none at all, where the kernel lets anybody have a network namespace of their own (Linux)
//   lockdown  what is left in JavaScript, shut by the program itself: lockdown.mjs
//
// Each layer holds alone against what the tests try; none relies on the code being polite.
import { type ChildProcess, execFile, type StdioOptions, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import type { Readable } from 'node:stream'
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

/**
 * MiB of stack. CPython and QuickJS know how much of their own stack, in WebAssembly's memory, is left, and raise an error at its end;
 * V8's stack, under it, must not end first, because that ends the interpreter. Python's 10 MiB need up to 200 here. It is address
 * space: only what a call has used takes memory.
 */
const stackMebibytes = 384
// What V8 leaves of the stack to Node's own C++ code.
const stackReserveKibibytes = 4096
// V8 starts two threads, and each reserves as much stack as the main one may have.
const threadStacks = 2
// The descriptor that the starting process holds the other end of, and never writes to.
const lifeline = 5

export async function launchCommand(
  { entry, settings, folders }: InterpreterProgram,
  limits: SandboxLimits,
  { networkNamespace = true }: { networkNamespace?: boolean } = {},
): Promise<Command> {
  if (!existsSync(shell)) {
    throw new HdpoError('ERR_SANDBOX_PLATFORM', `sandboxed code needs ${shell}, which Linux and macOS have`)
  }
  const { memory, output } = limits
  const flags = [
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
  return { file: shell, arguments: ['-c', script(limits, isolation), shell, ...flags] }
}

/**
 * Starts a command with `stdio` as its descriptors 0 to 4. It leads a process group of its own, which its lifeline ends as a whole
 * when this process ends, however that happens.
 */
export function startCommand({ file, arguments: words }: Command, stdio: DescriptorOptions): ChildProcess {
  const child = spawn(file, words, {
    // The environment has nothing of ours, so no keys; the time zone is the same everywhere.
    env: { TZ: 'UTC' },
    cwd: '/',
    stdio: [...stdio, 'pipe'],
    detached: true,
  })
  // The watcher ends with the process that it watches. ('close' waits for the watcher's end of the lifeline as well.)
  const end = (child.stdio as readonly unknown[])[lifeline] as Readable
  child.on('exit', () => end.destroy())
  return child
}
type DescriptorOptions = [Descriptor, Descriptor, Descriptor, Descriptor, Descriptor]
type Descriptor = Extract<StdioOptions, readonly unknown[]>[number]

/**
 * CPU seconds limit the whole life of the process: the pool ends a call long before, so this ends only a process that nobody
 * watches any more. With 'set -e' a limit that cannot be set is an error, rather than a sandbox without it; only the stack takes what the
 * system allows at most (64 MiB on macOS).
 */
function script({ cpuTime, memory }: SandboxLimits, isolation: readonly string[]): string {
  const cpuSeconds = 60 + Math.ceil(cpuTime / 1000) * 20
  const dataKibibytes = (nodeDataMebibytes + memory + threadStacks * stackMebibytes) * 1024
  return [
    'set -e',
    watcher,
    `ulimit -c 0; ulimit -f 0; ulimit -n 128; ulimit -S -t ${cpuSeconds}; ulimit -d ${dataKibibytes}`,
    `ulimit -S -s ${stackMebibytes * 1024} 2>/dev/null || ulimit -S -s "$(ulimit -H -s)"`,
    `stack=$(($(ulimit -S -s) - ${stackReserveKibibytes}))`,
    `exec ${[...isolation, process.execPath].map(quoted).join(' ')} --stack-size=$stack "$@" ${lifeline}<&-`,
  ].join('\n')
}

/**
 * A busy interpreter cannot look whether it is still wanted, so a shell beside it does: it waits for the end of the lifeline, which
 * nothing is ever written to, and kills the process group, itself included. It holds no other descriptor of the interpreter's.
 */
const watcher = `( exec 0<&${lifeline} 1>&- 2>&- 3>&- 4>&- ${lifeline}<&-; read -r line || kill -KILL 0 ) &`

function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`
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
