import { createHash } from 'node:crypto'

/** What tells a user's own function from another one when a run is resumed: its name and a hash of its text. */
export function functionIdentity(given: { name: string; toString(): string }): Record<string, unknown> {
  return { function: given.name, text: shortHash(given.toString()) }
}

/** 16 hexadecimal digits of a SHA-256. */
export function shortHash(content: string | Buffer): string {
  return createHash('sha256').update(content).digest('hex').slice(0, 16)
}
