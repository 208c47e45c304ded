// Where a result will be written is looked at before the work whose result it is.
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { checkReplaceableFolder, checkWritableFile } from '../../lib/core/writable.js'
import { exportRun } from '../../lib/run/export/export-run.js'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hdpo-writable-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

describe('a folder that will be replaced', () => {
  it('may be absent, with all above it, or there', async () => {
    await checkReplaceableFolder(join(folder, 'a', 'b'))
    expect(existsSync(join(folder, 'a', 'b'))).toBe(false)
    mkdirSync(join(folder, 'a', 'b'))
    await checkReplaceableFolder(join(folder, 'a', 'b'))
  })

  it('may be no file, and below none', async () => {
    writeFileSync(join(folder, 'file'), '')
    await expect(checkReplaceableFolder(join(folder, 'file'))).rejects.toMatchObject({ code: 'ENOTDIR' })
    await expect(checkReplaceableFolder(join(folder, 'file', 'policy'))).rejects.toThrow()
  })
})

it('an export looks at its file before it indexes the run', async () => {
  const run = join(folder, 'run')
  mkdirSync(join(run, 'rollouts'), { recursive: true })
  writeFileSync(join(run, 'metrics.jsonl'), '{"step":1}\n')
  mkdirSync(join(run, 'metrics.csv'))
  const asked = { run, format: 'csv', table: 'metrics' } as const
  await expect(exportRun(asked)).rejects.toMatchObject({ code: 'EISDIR' })
  await expect(exportRun({ ...asked, output: join(folder, 'none', 'x.csv') })).rejects.toMatchObject({
    code: 'ENOENT',
  })
  expect(existsSync(join(run, 'run.sqlite'))).toBe(false)
  await expect(checkWritableFile(join(folder, 'new.csv'))).resolves.toBeUndefined()
})
