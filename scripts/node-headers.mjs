// Finds Node's own headers where they came with it. Otherwise node-gyp downloads them.
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** The folder that holds include/node; undefined where there is none. */
export function nodeHeadersFolder() {
  const prefix = dirname(dirname(process.execPath))
  return existsSync(join(prefix, 'include', 'node', 'common.gypi')) ? prefix : undefined
}
