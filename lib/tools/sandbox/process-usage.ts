// CPU time and memory of a process, as the kernel counts them.
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'

interface ProcessUsage {
  cpuMilliseconds: number
  /** On Linux without the stack, which may become large and has a limit of its own. */
  residentBytes: number
}

/** Undefined where the process is gone. */
export function processUsage(pid: number): Promise<ProcessUsage | undefined> {
  return process.platform === 'linux' ? fromProc(pid) : fromPs(pid)
}

// Linux reports CPU time to user space in hundredths of a second, whatever its own tick.
const tickMilliseconds = 10

async function fromProc(pid: number): Promise<ProcessUsage | undefined> {
  let stat: string
  let status: string
  try {
    ;[stat, status] = await Promise.all([
      readFile(`/proc/${pid}/stat`, 'latin1'),
      readFile(`/proc/${pid}/status`, 'latin1'),
    ])
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ESRCH') return undefined
    throw error
  }
  // The second field is the command's name, in parentheses, which may contain anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const resident = kibibytes(status, 'VmRSS')
  // A zombie process has no memory left.
  if (resident === undefined) return undefined
  return {
    cpuMilliseconds: (Number(fields[11]) + Number(fields[12])) * tickMilliseconds,
    residentBytes: (resident - (kibibytes(status, 'VmStk') ?? 0)) * 1024,
  }
}

function kibibytes(status: string, name: string): number | undefined {
  const [, value] = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status) ?? []
  return value === undefined ? undefined : Number(value)
}

function fromPs(pid: number): Promise<ProcessUsage | undefined> {
  return new Promise((resolve) => {
    execFile('/bin/ps', ['-o', 'rss=,time=', '-p', String(pid)], (error, text) => {
      resolve(error ? undefined : parsePs(text))
    })
  })
}

/** Parses KiB and [[days-]hours:]minutes:seconds[.hundredths], as both BSD and procps print them. */
export function parsePs(text: string): ProcessUsage | undefined {
  const match = /^\s*(\d+)\s+(?:(\d+)-)?([\d:.]+)\s*$/.exec(text)
  if (!match) return undefined
  const [, resident, days = '0', clock = ''] = match
  const seconds = clock.split(':').reduce((total, part) => total * 60 + Number(part), 0)
  return {
    cpuMilliseconds: Math.round((Number(days) * 86_400 + seconds) * 1000),
    residentBytes: Number(resident) * 1024,
  }
}
