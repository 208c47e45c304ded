// A folder that is replaced while others have files in it, and while processes are killed.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { isPolicyFile } from '../../lib/policy/save-policy.js'
import { writeFolder } from '../../lib/policy/write-folder.js'

let root: string
let folder: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'hdpo-write-'))
  folder = join(root, 'policy')
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

const names = ['config.json', 'model.safetensors', 'tokenizer.json']
const save = (content: string) =>
  writeFolder(
    folder,
    async (partial) => {
      for (const name of names) writeFileSync(join(partial, name), content)
    },
    isPolicyFile,
  )
const read = (name: string) => readFileSync(join(folder, name), 'utf8')
const host = hostname().replace(/[^\w.]/g, '_')

describe('writeFolder', () => {
  it('keeps what is not ours, with its kind and its mode, and drops what is', async () => {
    await save('old')
    writeFileSync(join(folder, 'notes.txt'), 'mine')
    chmodSync(join(folder, 'notes.txt'), 0o640)
    mkdirSync(join(folder, 'plots', 'deep'), { recursive: true, mode: 0o750 })
    writeFileSync(join(folder, 'plots', 'deep', 'a.svg'), '<svg/>')
    symlinkSync('/nowhere', join(folder, 'dangling'))
    writeFileSync(join(folder, 'my.index.json'), '{}')
    writeFileSync(join(folder, 'model-00001-of-00002.safetensors'), 'shard')
    chmodSync(folder, 0o750)
    const { ino } = statSync(join(folder, 'notes.txt'))
    await save('new')
    expect(names.map(read)).toEqual(['new', 'new', 'new'])
    expect(read('notes.txt')).toBe('mine')
    expect(statSync(join(folder, 'notes.txt'))).toMatchObject({ ino, nlink: 1 })
    expect(read('plots/deep/a.svg')).toBe('<svg/>')
    expect(statSync(join(folder, 'plots')).mode & 0o777).toBe(0o750)
    expect(lstatSync(join(folder, 'dangling')).isSymbolicLink()).toBe(true)
    expect(read('my.index.json')).toBe('{}')
    expect(existsSync(join(folder, 'model-00001-of-00002.safetensors'))).toBe(false)
    expect(statSync(folder).mode & 0o777).toBe(0o750)
    expect(readdirSync(root)).toEqual(['policy'])
  })

  it("keeps a README of one's own, and replaces a model card", async () => {
    const withCard = (card: string) =>
      writeFolder(folder, async (partial) => writeFileSync(join(partial, 'README.md'), card), isPolicyFile)
    const card = (text: string) => `${text}, saved by [hdpo](https://www.npmjs.com/package/hdpo).`
    await withCard(card('one'))
    await withCard(card('two'))
    expect(read('README.md')).toBe(card('two'))
    writeFileSync(join(folder, 'README.md'), 'my own words')
    await withCard(card('three'))
    expect(read('README.md')).toBe('my own words')
  })

  it('keeps what comes into the folder while it is being filled', async () => {
    await save('old')
    await writeFolder(folder, async () => writeFileSync(join(folder, 'late.txt'), 'late'), isPolicyFile)
    expect(read('late.txt')).toBe('late')
  })

  it('writes into the folder that a link points to, and refuses a file', async () => {
    mkdirSync(join(root, 'real'))
    symlinkSync(join(root, 'real'), folder)
    await save('new')
    expect(lstatSync(folder).isSymbolicLink()).toBe(true)
    expect(readdirSync(join(root, 'real')).sort()).toEqual(names)
    rmSync(folder)
    writeFileSync(folder, 'a file')
    await expect(save('new')).rejects.toMatchObject({ code: 'ERR_POLICY_FOLDER' })
    expect(readFileSync(folder, 'utf8')).toBe('a file')
  })

  it('leaves the old folder, and nothing beside it, where filling the new one fails', async () => {
    await save('old')
    const failing = writeFolder(folder, () => Promise.reject(new Error('no space')), isPolicyFile)
    await expect(failing).rejects.toThrow('no space')
    expect(names.map(read)).toEqual(['old', 'old', 'old'])
    expect(readdirSync(root)).toEqual(['policy'])
  })

  it('removes what crashed processes of this host left, and puts back a folder that was between two renames', async () => {
    const [ended, otherStart, otherHost] = [
      `${host}-4194305-00000000`,
      `${host}-${process.pid}-00000000`,
      'elsewhere-1-00000000',
    ]
    for (const writer of [ended, otherStart, otherHost])
      mkdirSync(join(root, `.policy.partial-${writer}-abcdef`))
    const replaced = join(root, `.policy.replaced-${ended}-abcdef`)
    mkdirSync(replaced)
    writeFileSync(join(replaced, 'notes.txt'), 'mine')
    await save('new')
    expect(read('notes.txt')).toBe('mine')
    expect(readdirSync(root).sort()).toEqual([`.policy.partial-${otherHost}-abcdef`, 'policy'])
  })

  it('is at every moment one whole folder with the files of others, under kill -9', async () => {
    await save('begin')
    writeFileSync(join(folder, 'notes.txt'), 'mine')
    mkdirSync(join(folder, 'plots'))
    writeFileSync(join(folder, 'plots', 'a.svg'), '<svg/>')
    const program = `
      import { writeFileSync } from 'node:fs'
      import { isPolicyFile } from ${JSON.stringify(join(import.meta.dirname, '../../lib/policy/save-policy.ts'))}
      import { writeFolder } from ${JSON.stringify(join(import.meta.dirname, '../../lib/policy/write-folder.ts'))}
      for (let i = 0; ; i++) {
        await writeFolder(${JSON.stringify(folder)}, async (partial) => {
          for (const name of ${JSON.stringify(names)}) writeFileSync(partial + '/' + name, process.pid + ' ' + i)
        }, isPolicyFile)
        if (i === 0) console.log('saving')
      }`
    writeFileSync(join(root, 'save.mts'), program)
    const contents = new Set<string>()
    const kills = Number(process.env.HDPO_KILLS ?? 8)
    for (let kill = 0; kill < kills; kill++) {
      const child = spawn(process.execPath, ['--import', 'tsx', join(root, 'save.mts')], {
        cwd: join(import.meta.dirname, '../..'),
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      const closed = once(child, 'close')
      await once(child.stdout, 'data')
      await new Promise((resolve) => setTimeout(resolve, (kill * 7.3) % 40))
      child.kill('SIGKILL')
      await closed
      expect(new Set(names.map(read)).size).toBe(1)
      contents.add(read('config.json'))
      expect(read('notes.txt')).toBe('mine')
      expect(read('plots/a.svg')).toBe('<svg/>')
    }
    expect(contents.size).toBe(kills)
    await save('end')
    expect(readdirSync(root).sort()).toEqual(['policy', 'save.mts'])
  }, 400_000)
})
