// Runs other programs for the scripts of this folder. Plain JavaScript without dependencies: set-up runs before there are any.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** The folder of the repository or of the installed package. */
export const root = fileURLToPath(new URL('..', import.meta.url))

/** The instruction set of the CPU kernels, as g++ -march takes it. */
export function instructionSet() {
  return process.env.HDPO_ARCH || 'native'
}

/** A mistake, or something missing, that the message alone explains: it is shown without a stack. */
export class SetUpError extends Error {}

/** Runs a command to the end, with its output on this terminal. Throws SetUpError when it cannot start or fails. */
export function run(command, args, { env, cwd = root } = {}) {
  const result = spawnSync(command, args, { cwd, stdio: 'inherit', env: { ...process.env, ...env } })
  const whole = [command, ...args].join(' ')
  const line = whole.length > 200 ? `${whole.slice(0, 200)} ...` : whole
  if (result.error) throw new SetUpError(`cannot run "${line}": ${result.error.message}`)
  if (result.status !== 0)
    throw new SetUpError(`"${line}" ended with ${result.signal ?? `exit code ${result.status}`}`)
}

/** Runs a command to the end and keeps its output back. When it cannot start or fails, the output is in the SetUpError. */
export async function runQuietly(command, args, { env, cwd = root, signal } = {}) {
  const whole = [command, ...args].join(' ')
  let result
  try {
    result = await capture(command, args, { env, cwd, signal, quiet: true })
  } catch (error) {
    throw new SetUpError(`cannot run "${whole}": ${error.message}`)
  }
  if (result.code !== 0) {
    throw new SetUpError(`"${whole}" ended with exit code ${result.code}:\n${result.text.trimEnd()}`)
  }
}

/** The standard output of a command, or undefined when the command is missing or fails. */
export function output(command, args, input) {
  const result = spawnSync(command, args, { cwd: root, encoding: 'utf8', input })
  return result.error || result.status !== 0 ? undefined : result.stdout
}

/** Runs a script's main function. An error ends the process with exit code 1. */
export async function main(body) {
  try {
    await body()
  } catch (error) {
    console.error(`hdpo: ${error instanceof SetUpError ? error.message : error.stack}`)
    process.exitCode = 1
  }
}

/** Runs a command; shows its output as it comes (unless `quiet`) and returns it with the exit code (null: a signal ended it). */
export async function capture(command, args, { env, cwd = root, quiet = false, signal } = {}) {
  const child = spawn(command, args, {
    cwd,
    signal,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  })
  let text = ''
  for (const [from, to] of [
    [child.stdout, process.stdout],
    [child.stderr, process.stderr],
  ]) {
    from.setEncoding('utf8').on('data', (chunk) => {
      text += chunk
      if (!quiet) to.write(chunk)
    })
  }
  const [code] = await once(child, 'close')
  return { code, text }
}
