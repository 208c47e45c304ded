// A disk that fills up, a limit on the size of files, folders and disks that may not be written: a refusal that names the file, and
// after the disk has room again the run goes on to the same numbers.
import { spawnSync } from 'node:child_process'
import { chmod, chown, mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Random } from '../../lib/core/random.js'
import { type Fault, type Laboratory, refused, type Verdict, wrong } from './campaign.js'
import { type EndedRun, type ProcessOptions, startRun } from './run-process.js'
import type { RunKind } from './small-run-message.js'

const fileTooLarge = pathToFileURL(join(import.meta.dirname, 'file-too-large.mjs')).href

/** A small run takes less than this, its checkpoints in the making included. */
const largestMegabytes = 48

export const disks: Fault[] = [
  { name: 'disk: full', tries: 24, attempt: (...tried) => onSmallDisk(...tried) },
  { name: 'disk: file size limit', tries: 12, attempt: withFileLimit },
  { name: 'disk: read-only', tries: 12, attempt: onReadOnlyDisk },
  { name: 'disk: folder without permission', tries: 12, attempt: withoutPermission },
]

/** Whether this user may mount file systems, which a container often forbids. */
export function mayMount(folder: string): boolean {
  if (mount(folder, 'size=1m') !== undefined) return false
  unmount(folder)
  return true
}

function mount(folder: string, options: string): string | undefined {
  const { status, stderr, error } = spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', folder])
  return status === 0 ? undefined : (error?.message ?? String(stderr))
}

function unmount(folder: string): void {
  const { status, stderr } = spawnSync('umount', [folder])
  if (status !== 0) throw new Error(`cannot unmount ${folder}: ${stderr}`)
}

/** Calls `use` with a folder that is a disk of its own; `remount` changes its options. */
async function onDisk(
  laboratory: Laboratory,
  options: string,
  use: (folder: string, remount: (options: string) => void) => Promise<Verdict>,
): Promise<Verdict> {
  return laboratory.inFolder(async (outer) => {
    const folder = join(outer, 'disk')
    await mkdir(folder)
    const failure = mount(folder, options)
    if (failure !== undefined) throw new Error(`cannot mount a disk (try --only without it): ${failure}`)
    const remount = (changed: string) => {
      const complaint = mount(folder, `remount,${changed}`)
      if (complaint !== undefined) throw new Error(`cannot remount: ${complaint}`)
    }
    try {
      return await use(folder, remount)
    } finally {
      unmount(folder)
    }
  })
}

function onSmallDisk(laboratory: Laboratory, random: Random, index: number): Promise<Verdict> {
  const kind = laboratory.kindOf(index)
  const kilobytes = random.integer(64, largestMegabytes * 1024)
  return onDisk(laboratory, `size=${kilobytes}k`, async (folder, remount) => {
    const output = join(folder, 'run')
    const first = await startRun(laboratory.run(kind, output))
    remount(`size=${largestMegabytes * 2}m`)
    return afterRefusal(laboratory, kind, output, first)
  })
}

/** What a run that met the fault should have said; then it is resumed without the fault. */
async function afterRefusal(
  laboratory: Laboratory,
  kind: RunKind,
  output: string,
  first: EndedRun,
): Promise<Verdict> {
  if (first.ended === 'finished') return laboratory.compare(laboratory.whole(kind).numbers, output)
  if (first.ended !== 'refused') return wrong(`the run ${first.ended}: ${first.message}`)
  const verdict = await laboratory.resume(kind, output)
  return verdict.kind === 'identical' ? refused(`${first.code}: ${first.message}`) : verdict
}

function withFileLimit(laboratory: Laboratory, random: Random, index: number): Promise<Verdict> {
  const kind = laboratory.kindOf(index)
  // bash counts in kibibytes. The largest file is the optimiser's.
  const kilobytes = random.integer(1, 9000)
  return laboratory.inFolder(async (folder) => {
    const output = join(folder, 'run')
    const shell = `ulimit -f ${kilobytes} && exec "$@"`
    const first = await startRun(laboratory.run(kind, output), { shell, preload: [fileTooLarge] })
    return afterRefusal(laboratory, kind, output, first)
  })
}

/** The run is stopped by a kill, the disk is made read-only, and `--resume` has to say so. */
function onReadOnlyDisk(laboratory: Laboratory, random: Random, index: number): Promise<Verdict> {
  const kind = laboratory.kindOf(index)
  return onDisk(laboratory, `size=${largestMegabytes * 2}m`, async (folder, remount) => {
    const output = join(folder, 'run')
    const delay = random.next() * laboratory.whole(kind).ended.milliseconds
    await startRun(laboratory.run(kind, output), { killAt: { phase: 'run', occurrence: 1, delay } })
    remount('ro')
    const second = await startRun(laboratory.run(kind, output, true))
    remount('rw')
    if (second.ended === 'finished') return wrong('the run finished on a disk that cannot be written')
    return afterRefusal(laboratory, kind, output, second)
  })
}

/** Root may write everywhere; such a run gets another user. */
const nobody = process.getuid?.() === 0 ? 65534 : undefined

/** At a random moment one of the run's folders loses its permission to be written. */
function withoutPermission(laboratory: Laboratory, random: Random, index: number): Promise<Verdict> {
  const kind = laboratory.kindOf(index)
  return laboratory.inFolder(async (folder) => {
    const output = join(folder, 'run')
    await mkdir(output)
    if (nobody !== undefined) {
      await chmod(laboratory.folder, 0o755)
      for (const path of [folder, output]) await chown(path, nobody, nobody)
    }
    const closed = join(output, random.pick(['.', 'rollouts', 'checkpoints']))
    const moment = random.integer(1, 6)
    const phases: string[] = []
    const options: ProcessOptions = {
      ...(nobody !== undefined && { uid: nobody }),
      onMessage: (message) => {
        // Once the folder is there: the first phase that a run announces within a step.
        if ('phase' in message && phases.push(message.phase) === moment + 2) void chmod(closed, 0o555)
      },
    }
    const first = await startRun(laboratory.run(kind, output), options)
    await chmod(closed, 0o755).catch(() => {})
    return afterRefusalAs(laboratory, kind, output, first)
  })
}

/** The run that is resumed belongs to this user again, who may be root. */
async function afterRefusalAs(
  laboratory: Laboratory,
  kind: RunKind,
  output: string,
  first: EndedRun,
): Promise<Verdict> {
  if (nobody !== undefined) {
    for (const entry of await readdir(output, { recursive: true })) await chown(join(output, entry), 0, 0)
    await chown(output, 0, 0)
  }
  return afterRefusal(laboratory, kind, output, first)
}
