// Tells a process from a later one that was given the same id.
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { readIfThere } from './read-if-there.js'

export type ProcessState =
  | { alive: false }
  /** `started` names the moment at which it began; undefined where this system does not say. */
  | { alive: true; started: string | undefined }

/** What is known of the process that has the id now. */
export async function processState(pid: number): Promise<ProcessState> {
  if (!hasId(pid)) return { alive: false }
  if (process.platform === 'linux') return linuxState(pid)
  if (process.platform === 'win32') return { alive: true, started: undefined }
  return { alive: true, started: await startByPs(pid) }
}

function hasId(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // EPERM means that the process exists and belongs to another user.
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/**
 * /proc/<pid>/stat: field 3 is the state, field 22 the start in clock ticks since boot. The name in parentheses before them may hold
 * spaces and parentheses itself. A zombie (Z, X) has ended; only its parent has not looked yet.
 */
async function linuxState(pid: number): Promise<ProcessState> {
  let stat: string
  try {
    stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  } catch (error) {
    if (!['ENOENT', 'ESRCH', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
    // It has ended meanwhile, or /proc hides the processes of other users.
    return hasId(pid) ? { alive: true, started: undefined } : { alive: false }
  }
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const [state, ticks] = [fields[0], fields[19]]
  if (state === 'Z' || state === 'X') return { alive: false }
  const boot = (await readIfThere('/proc/sys/kernel/random/boot_id'))?.trim() ?? ''
  return { alive: true, started: `${boot}/${ticks}` }
}

async function startByPs(pid: number): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)('ps', ['-o', 'lstart=', '-p', String(pid)], {
      env: { ...process.env, LC_ALL: 'C', TZ: 'UTC' },
    })
    return stdout.trim() || undefined
  } catch {
    // There is no ps, or the process has just ended: nothing is known of its start.
    return undefined
  }
}
