import { expect, it } from 'vitest'
import { InvalidOptionError } from '../../lib/core/option-error.js'

/** A test per row: `use` throws, or rejects with, an InvalidOptionError of exactly that message for the value. */
export function refuses(use: (given: never) => unknown, rows: readonly (readonly [unknown, string])[]): void {
  it.each(rows)('%j: %s', async (given, message) => {
    const caught = await (async () => use(given as never))().then(
      () => undefined,
      (error: unknown) => error,
    )
    expect(caught, 'nothing was refused').toBeDefined()
    expect((caught as Error).message).toBe(message)
    expect(caught).toBeInstanceOf(InvalidOptionError)
  })
}
