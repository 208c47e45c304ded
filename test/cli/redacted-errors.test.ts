import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, expect, it, vi } from 'vitest'
import { withoutSecrets } from '../../lib/cli/terminal/redacted-errors.js'
import { InvalidOptionError } from '../../lib/core/option-error.js'

afterEach(() => vi.unstubAllEnvs())

it.each([
  ["error: unknown option '--api-key=hunter2'", "error: unknown option '--api-key=[redacted]'"],
  [
    "error: option '--token <token>' argument 'abc' is invalid",
    "error: option '--token <token>' argument '[redacted]' is invalid",
  ],
  [
    "error: option '-s, --steps <n>' argument 'abc' is invalid",
    "error: option '-s, --steps <n>' argument 'abc' is invalid",
  ],
  ["error: unknown option '--stepz=10'", "error: unknown option '--stepz=10'"],
])('hides what is given to a flag for secrets: %s', (text, expected) => {
  expect(withoutSecrets(text)).toBe(expected)
})

it('hides a secret in the value of an option that is refused', () => {
  vi.stubEnv('GITHUB_PAT', `it's "a" pass/word`)
  expect(new InvalidOptionError('steps', 'a whole number', `it's "a" pass/word`).message).not.toMatch(/pass/)
  expect(new InvalidOptionError('x', 'y', { a: [`it's "a" pass/word`] }).message).toContain('[redacted]')
})

it('keeps secrets out of standard error of the command', async () => {
  const root = join(import.meta.dirname, '../..')
  const main = [join(root, 'node_modules/tsx/dist/cli.mjs'), join(root, 'lib/cli/main.ts')]
  const environment = { ...process.env, MYSQL_PWD: 'correct "horse"/battery' }
  const run = async (...flags: string[]) => {
    const failed = await promisify(execFile)(process.execPath, [...main, ...flags], {
      env: environment,
    }).catch((error: { stderr: string }) => error)
    return failed.stderr
  }
  const stderr = await run('train', 'correct "horse"/battery.yaml')
  expect(stderr).toMatch(/cannot read \[redacted\]\.yaml/)
  expect(await run('serve', '--port', 'correct "horse"/battery')).toMatch(
    /argument '\[redacted\]' is invalid/,
  )
}, 60_000)
