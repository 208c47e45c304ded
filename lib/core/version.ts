import { readFileSync } from 'node:fs'

/** This file is in lib/core when run from source, in dist/core when installed: both are two folders below package.json. */
export const version = (
  JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
).version
