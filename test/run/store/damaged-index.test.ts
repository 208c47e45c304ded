// run.sqlite can be deleted at any time, and so whatever stands in its place.
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, open, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { exportRun } from '../../../lib/run/export/export-run.js'
import { Database } from '../../../lib/run/store/database.js'
import { RunStore } from '../../../lib/run/store/run-store.js'
import { startUi } from '../../../lib/ui/ui-server.js'
import { writeRun } from './recorded-run.js'

let root: string
let folder: string
let index: string
const warnings: string[] = []
const warn = (message: string) => void warnings.push(message)
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'hdpo-damage-'))
  folder = join(root, 'run')
  index = join(folder, 'run.sqlite')
  await writeRun(folder, 3)
  warnings.length = 0
})
afterEach(() => rm(root, { recursive: true, force: true }))

async function indexed(): Promise<void> {
  const store = RunStore.open(folder)
  store.updateAll()
  store.close()
}

async function overwrite(start: number, bytes: Uint8Array): Promise<void> {
  const file = await open(index, 'r+')
  await file.write(bytes, 0, bytes.length, start)
  await file.close()
}

/** What stands in the place of the index, and whether that is told. */
const damages: [string, () => Promise<unknown>, boolean][] = [
  ['nothing', async () => {}, false],
  ['an empty file', () => writeFile(index, ''), false],
  ['random bytes', () => writeFile(index, randomBytes(10_000)), true],
  ['text', () => writeFile(index, 'not a database\n'.repeat(100)), true],
  [
    'an index that was cut off',
    async () => {
      await indexed()
      await truncate(index, Math.floor((await stat(index)).size / 2))
    },
    true,
  ],
  [
    'an index with damaged pages',
    async () => {
      await indexed()
      await overwrite(4096, Buffer.alloc((await stat(index)).size - 4096, 0xa5))
    },
    true,
  ],
  [
    'a header and nothing else',
    async () => {
      await indexed()
      await writeFile(index, (await readFile(index)).subarray(0, 100))
    },
    true,
  ],
  [
    'an index of another version',
    async () => {
      await indexed()
      const database = new Database(index)
      database.exec('PRAGMA user_version = 99')
      database.close()
    },
    false,
  ],
  [
    'an index without one of its tables',
    async () => {
      await indexed()
      const database = new Database(index)
      database.exec('DROP TABLE metrics')
      database.close()
    },
    false,
  ],
  [
    "another program's database",
    async () => {
      const database = new Database(index)
      database.exec('CREATE VIEW steps AS SELECT 1 AS step')
      database.close()
    },
    true,
  ],
  ['an empty folder', () => mkdir(index), true],
  ['a folder that is not empty', () => mkdir(join(index, 'of somebody else'), { recursive: true }), true],
]

describe.each(damages)('%s in the place of run.sqlite', (_, damage, told) => {
  it('is made anew by hdpo ui, which shows the run and its neighbours', async () => {
    await writeRun(join(root, 'neighbour'), 2)
    await damage()
    const ui = await startUi({ folder: root, interval: 50, onWarning: warn })
    try {
      const found = async () => {
        const response = await fetch(`${ui.url}/api/runs`)
        expect(response.status).toBe(200)
        const { runs } = (await response.json()) as { runs: Record<string, unknown>[] }
        return runs.map(({ id, lastStep, rollouts }) => [id, lastStep, rollouts])
      }
      await expect.poll(found, { timeout: 20_000 }).toEqual([
        ['neighbour', 2, 8],
        ['run', 3, 12],
      ])
      for (const path of ['rollouts?run=run', 'rollouts?run=run&search=Nuuk', 'series?run=run']) {
        expect((await fetch(`${ui.url}/api/${path}`)).status).toBe(200)
      }
      expect((await fetch(`${ui.url}/metrics`)).status).toBe(200)
    } finally {
      await ui.close()
    }
    if (told) expect(warnings.join('\n')).toMatch(/run\.sqlite (?:is damaged|cannot be used) \(/)
    else expect(warnings).toEqual([])
  })

  it('is made anew by hdpo export', async () => {
    await damage()
    const { rows, path } = await exportRun({
      run: folder,
      table: 'rollouts',
      format: 'jsonl',
      onWarning: warn,
    })
    expect(rows).toBe(12)
    expect((await readFile(path, 'utf8')).split('\n')).toHaveLength(13)
    expect(warnings).toHaveLength(told ? 1 : 0)
  })
})

it('an index that is damaged while hdpo ui looks at it is made anew', async () => {
  const ui = await startUi({ folder: root, interval: 50, onWarning: warn })
  try {
    const rollouts = async () => {
      const response = await fetch(`${ui.url}/api/rollouts?run=run&search=Question`)
      return [response.status, ((await response.json()) as { count: number }).count]
    }
    await expect.poll(rollouts, { timeout: 20_000 }).toEqual([200, 12])
    await rm(index)
    await expect.poll(rollouts, { timeout: 20_000 }).toEqual([200, 12])
    await rm(index)
    await writeFile(index, randomBytes(10_000))
    await expect.poll(rollouts, { timeout: 20_000 }).toEqual([200, 12])
    await rm(`${index}-wal`, { force: true })
    await overwrite(0, randomBytes(8192))
    await expect.poll(rollouts, { timeout: 20_000 }).toEqual([200, 12])
  } finally {
    await ui.close()
  }
})
