/** The message of a thrown value, whether it is an Error or not. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message || error.name : String(error)
}
