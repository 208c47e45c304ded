import { cpSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { configure } from '../../scripts/cmake.mjs'
import { runQuietly } from '../../scripts/command.mjs'

describe('a build folder', () => {
  let folder: string
  const checkout = (name: string) => join(folder, name)
  const cacheOf = (name: string) => readFileSync(join(checkout(name), 'build', 'CMakeCache.txt'), 'utf8')
  const configureIn = (name: string) =>
    configure(checkout(name), join(checkout(name), 'build'), { OPTION: 'x' }, runQuietly)

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'hdpo-checkout-'))
    mkdirSync(checkout('first'))
    writeFileSync(
      join(checkout('first'), 'CMakeLists.txt'),
      'cmake_minimum_required(VERSION 3.22)\nproject(moved LANGUAGES NONE)\n',
    )
    await configureIn('first')
  })

  afterEach(() => rmSync(folder, { recursive: true }))

  it('is kept where the checkout stays', async () => {
    writeFileSync(join(checkout('first'), 'build', 'object.o'), '')
    await configureIn('first')
    expect(readFileSync(join(checkout('first'), 'build', 'object.o'), 'utf8')).toBe('')
  })

  it('is made anew in a checkout that was moved', async () => {
    renameSync(checkout('first'), checkout('second'))
    await configureIn('second')
    expect(cacheOf('second')).toContain(`CMAKE_HOME_DIRECTORY:INTERNAL=${checkout('second')}`)
  })

  it('is made anew in a copy, beside the checkout that it came from', async () => {
    cpSync(checkout('first'), checkout('copy'), { recursive: true })
    await configureIn('copy')
    expect(cacheOf('copy')).toContain(`CMAKE_HOME_DIRECTORY:INTERNAL=${checkout('copy')}`)
    expect(cacheOf('first')).toContain(`CMAKE_HOME_DIRECTORY:INTERNAL=${checkout('first')}`)
  })
})
