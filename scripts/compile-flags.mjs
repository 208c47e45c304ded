// The flags that every C++ source of the core is compiled with: native/compile-flags.txt, which CMake and node-gyp read too.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './command.mjs'

export function compileFlags() {
  return readFileSync(join(root, 'native', 'compile-flags.txt'), 'utf8')
    .split('\n')
    .filter(Boolean)
}
