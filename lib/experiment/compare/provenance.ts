// What a result was made with: version, commit, Node, processor.
import { execFile } from 'node:child_process'
import { cpus } from 'node:os'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { version } from '../../core/version.js'
import type { Provenance } from './result.js'

const run = promisify(execFile)
const packageFolder = fileURLToPath(new URL('../../..', import.meta.url))

export async function describeProvenance(): Promise<Provenance> {
  const commit = await gitCommit()
  return {
    version,
    ...(commit !== undefined && { commit }),
    node: process.version,
    processor: `${cpus()[0]?.model ?? process.arch}, ${cpus().length} cores`,
  }
}

/** Undefined outside of a git checkout of hdpo, as in an installed package. */
async function gitCommit(): Promise<string | undefined> {
  try {
    const options = { cwd: packageFolder }
    const [{ stdout: top }, { stdout: commit }, { stdout: changes }] = await Promise.all([
      run('git', ['rev-parse', '--show-toplevel'], options),
      run('git', ['rev-parse', '--short', 'HEAD'], options),
      run('git', ['status', '--porcelain', '--untracked-files=no'], options),
    ])
    if (`${top.trim()}/` !== packageFolder) return undefined
    return commit.trim() + (changes.trim() === '' ? '' : '-dirty')
  } catch {
    // There is no git or no checkout, so no commit can be named.
    return undefined
  }
}
