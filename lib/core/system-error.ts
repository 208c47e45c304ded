// Describes in words what the operating system refuses (a missing file, a full disk, a port in use).
import { HdpoError } from './errors.js'

const reasons: Record<string, string> = {
  ENOENT: 'there is no such file or folder',
  EACCES: 'permission was denied',
  EPERM: 'it is not permitted',
  EROFS: 'the file system is read-only',
  ENOSPC: 'the disk is full',
  EDQUOT: "the user's share of the disk is full",
  EISDIR: 'it is a folder, not a file',
  ENOTDIR: 'a part of the path is a file, not a folder',
  EEXIST: 'it is there already',
  ENOTEMPTY: 'the folder is not empty',
  ENAMETOOLONG: 'the name is too long',
  ELOOP: 'its links lead in a circle',
  EXDEV: 'it is on another disk',
  EBUSY: 'it is in use',
  ETXTBSY: 'it is a program that runs',
  EFBIG: 'the file is too large',
  EIO: 'the disk failed',
  EMFILE: 'this process has too many files open (raise ulimit -n)',
  ENFILE: 'the system has too many files open',
  ENOMEM: 'there is too little memory',
  EADDRINUSE: 'the port is in use already',
  EADDRNOTAVAIL: 'this machine has no such address',
  ECONNREFUSED: 'nobody listens there',
  ECONNRESET: 'the connection was broken off',
  EHOSTUNREACH: 'the host cannot be reached',
  ENETUNREACH: 'the network cannot be reached',
  ENOTFOUND: 'there is no host of that name',
  ETIMEDOUT: 'it took too long',
  EPIPE: 'the reader has gone away',
}

/** `cannot write /runs/a/metrics.jsonl: the disk is full (ENOSPC)`; undefined for an error that is not the system's. */
export function describeSystemError(error: unknown): string | undefined {
  const { code, syscall, path, dest, address, port } = error as NodeJS.ErrnoException & {
    dest?: string
    address?: string
    port?: number
  }
  if (!(error instanceof Error) || code === undefined || syscall === undefined) return undefined
  if (reasons[code] === undefined) return undefined
  const place = path === undefined ? address : dest === undefined ? path : `${path} as ${dest}`
  const what =
    place === undefined ? syscall : `${doing(syscall)} ${place}${port === undefined ? '' : `:${port}`}`
  return `cannot ${what}: ${reasonOf(error)}`
}

/** The end of a sentence: `there is no such file or folder (ENOENT)`, or the message of an error that is not the system's. */
export function reasonOf(error: unknown): string {
  const { code = '', message } = error as NodeJS.ErrnoException
  return reasons[code] === undefined ? message : `${reasons[code]} (${code})`
}

/** Returns ERR_SYSTEM for a refusal of the system, any other error unchanged. `what`: 'cannot listen on 127.0.0.1:80'. */
export function systemError(what: string, error: unknown): unknown {
  const { code = '' } = error as NodeJS.ErrnoException
  if (reasons[code] === undefined) return error
  return new HdpoError('ERR_SYSTEM', `${what}: ${reasonOf(error)}`, { cause: error })
}

function doing(syscall: string): string {
  const known: Record<string, string> = {
    scandir: 'read the folder',
    lstat: 'read',
    stat: 'read',
    mkdir: 'make the folder',
    rmdir: 'remove the folder',
    unlink: 'remove',
    rename: 'rename',
    copyfile: 'copy',
    listen: 'listen on',
    connect: 'connect to',
    getaddrinfo: 'find',
    spawn: 'start',
  }
  return known[syscall] ?? syscall
}
