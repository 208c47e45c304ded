import { mkdir, mkdtemp, rename, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { RunList } from '../../lib/ui/run-list.js'
import { writeRun } from '../run/store/recorded-run.js'

let root: string
let runs: RunList
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'hdpo-runs-'))
  runs = new RunList(join(root, 'runs'), (message) => expect.unreachable(message))
  await writeRun(join(root, 'runs', 'first'), 1)
  await writeRun(join(root, 'runs', 'sweep', 'seed-1'), 2)
})
afterEach(async () => {
  await runs.close()
  await rm(root, { recursive: true, force: true })
})

async function shown(): Promise<[string, number][]> {
  return (await runs.fresh(10_000)).map((run) => [run.id, run.read((store) => store.lastStep())])
}

it('a removed run goes, while the others stay', async () => {
  expect(await shown()).toEqual([
    ['first', 1],
    ['sweep/seed-1', 2],
  ])
  const [first] = runs.all()
  await rm(join(root, 'runs', 'first'), { recursive: true })
  expect(await shown()).toEqual([['sweep/seed-1', 2]])
  expect(runs.get('first')).toBeUndefined()
  // A request that had found it before it went.
  expect(() => first?.read((store) => store.lastStep())).toThrow('run: "first" is no longer there')
})

it('a renamed run is shown by its new name, and another of its old name as itself', async () => {
  await shown()
  await rename(join(root, 'runs', 'first'), join(root, 'runs', 'kept'))
  expect(await shown()).toEqual([
    ['kept', 1],
    ['sweep/seed-1', 2],
  ])
  await writeRun(join(root, 'runs', 'first'), 3)
  await shown()
  await rename(join(root, 'runs', 'first'), join(root, 'runs', 'second'))
  await rename(join(root, 'runs', 'kept'), join(root, 'runs', 'first'))
  expect(await shown()).toEqual([
    ['first', 1],
    ['second', 3],
    ['sweep/seed-1', 2],
  ])
})

it('a run that is begun again in its place is read anew', async () => {
  await shown()
  await rm(join(root, 'runs', 'first'), { recursive: true })
  await writeRun(join(root, 'runs', 'first'), 5)
  expect((await shown())[0]).toEqual(['first', 5])
})

it('links lead to runs and to folders of runs, and not round in a circle', async () => {
  const elsewhere = join(root, 'elsewhere')
  await writeRun(join(elsewhere, 'far'), 4)
  await symlink(join(elsewhere, 'far'), join(root, 'runs', 'linked'))
  await symlink(elsewhere, join(root, 'runs', 'others'))
  await symlink(join(root, 'runs'), join(root, 'runs', 'loop'))
  await symlink('..', join(root, 'runs', 'sweep', 'up'))
  await symlink('itself', join(root, 'runs', 'itself'))
  await symlink(join(root, 'nowhere'), join(root, 'runs', 'broken'))
  await mkdir(join(root, 'a-link'))
  await symlink(join(root, 'runs'), join(root, 'a-link', 'to-all'))
  await symlink(join(root, 'a-link'), join(elsewhere, 'back'))
  expect((await shown()).map(([id]) => id)).toEqual(['first', 'linked', 'others/far', 'sweep/seed-1'])
  const linked = new RunList(join(root, 'a-link', 'to-all'), (message) => expect.unreachable(message))
  expect(linked.all().map(({ id }) => id)).toContain('first')
  await linked.close()
  await rm(join(elsewhere, 'far'), { recursive: true })
  expect((await shown()).map(([id]) => id)).toEqual(['first', 'sweep/seed-1'])
})

it('a folder that is removed as a whole shows nothing, and its runs again once they are back', async () => {
  await shown()
  await rename(join(root, 'runs'), join(root, 'away'))
  expect(await shown()).toEqual([])
  await rename(join(root, 'away'), join(root, 'runs'))
  expect((await shown()).map(([id]) => id)).toEqual(['first', 'sweep/seed-1'])
})
