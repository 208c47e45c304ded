import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { BackgroundIndex } from '../../../lib/run/store/background-index.js'
import { Database } from '../../../lib/run/store/database.js'
import { RunStore } from '../../../lib/run/store/run-store.js'
import { writeRun, writeStep } from './recorded-run.js'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hdpo-index-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

describe('BackgroundIndex', () => {
  it('has indexed everything that was told of once it is closed, and holds nobody up before', async () => {
    await writeRun(folder, 1)
    const warnings: string[] = []
    const index = new BackgroundIndex(folder, (message) => warnings.push(message), 0)
    RunStore.open(folder).close()
    const writer = new Database(join(folder, 'run.sqlite'))
    for (let step = 2; step <= 20; step++) {
      // Nothing can be indexed meanwhile: waiting for the index here would mean waiting for this very thread, and fail.
      if (step === 2) writer.exec('BEGIN IMMEDIATE')
      await writeStep(folder, step)
      index.update()
      await new Promise((resolve) => setTimeout(resolve, 5))
      if (step === 2) writer.exec('ROLLBACK')
    }
    writer.close()
    await index.close()
    const store = RunStore.open(folder)
    expect(store.rolloutCount()).toBe(80) // without an update of its own
    store.close()
    expect(warnings).toEqual([])
  })

  it('tells once that it cannot index, and goes on', async () => {
    await writeRun(folder, 1)
    await mkdir(join(folder, 'run.sqlite', 'of somebody else'), { recursive: true })
    const warnings: string[] = []
    const index = new BackgroundIndex(folder, (message) => warnings.push(message), 0)
    index.update()
    await new Promise((resolve) => setTimeout(resolve, 20))
    await index.close()
    index.update()
    expect(warnings).toEqual([expect.stringMatching(/run\.sqlite is no longer written.*not empty/)])
  })

  it('makes a damaged index anew, and says so', async () => {
    await writeRun(folder, 1)
    await writeFile(
      join(folder, 'run.sqlite'),
      'this is no database, and long enough to have a header'.repeat(20),
    )
    const warnings: string[] = []
    const index = new BackgroundIndex(folder, (message) => warnings.push(message), 0)
    index.update()
    await new Promise((resolve) => setTimeout(resolve, 20))
    await index.close()
    expect(warnings).toEqual([
      `${join(folder, 'run.sqlite')} is damaged (file is not a database) and is made anew from the run's files`,
    ])
    const store = RunStore.open(folder)
    expect(store.rolloutCount()).toBe(4)
    store.close()
  })

  it('starts no thread for a run that is over at once', async () => {
    await writeRun(folder, 1)
    const index = new BackgroundIndex(folder, (message) => expect.unreachable(message))
    index.update()
    await index.close()
    expect(existsSync(join(folder, 'run.sqlite'))).toBe(false)
  })
})
