// File systems without hard links, such as FAT and some network disks.

const codes: readonly (string | undefined)[] = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']

/** Whether a link could not be made because the file system makes none, or no more of this file. */
export function saysNoLinks(error: unknown): boolean {
  return codes.includes((error as NodeJS.ErrnoException).code)
}
