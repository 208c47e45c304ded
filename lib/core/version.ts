// The version of this package.
import { readFileSync } from 'node:fs'

/** lib/core when run from source, dist/core when installed: both two folders below package.json. */
export const version = (
  JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
).version
