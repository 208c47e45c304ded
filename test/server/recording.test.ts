// A rollout is forgotten only once it is recorded.
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { startServing } from '../../lib/cli/commands/serve.js'
import type { AgentServer, RolloutHandle } from '../../lib/server/create-server.js'
import { readRows } from '../../lib/tasks/rows.js'
import { ask, post, serve } from './conversations.js'
import { ServedPolicy } from './served-policy.js'

const hello = () => 'hello<|end|>'
let folder: string
let path: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hdpo-recording-'))
  path = join(folder, 'rollouts.jsonl')
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const lines: string[] = []
async function serveInto(): Promise<{ server: AgentServer; base: string }> {
  lines.length = 0
  const say = (line: string) => void lines.push(line)
  const flags = { host: '127.0.0.1', port: 0, temperature: 1, maxBody: 1, idleTimeout: 600, output: folder }
  const server = await startServing(new ServedPolicy(hello), 'policy', flags, { log: say, error: say })
  const base = lines.find((line) => line.startsWith('base URL: '))?.slice('base URL: '.length, -'/v1'.length)
  return { server, base: base as string }
}

async function play(base: string, id: string): Promise<void> {
  await post(`${base}/hdpo/rollouts`, { id, task: 't' })
  await post(`${base}/v1/chat/completions`, ask('?'), { 'x-hdpo-rollout': id })
}

async function recorded(): Promise<object[]> {
  const rows: object[] = []
  for await (const { value } of readRows(path)) {
    const { id, outcome, end } = value as { id: string; outcome?: object; end: string }
    rows.push({ id, outcome, end })
  }
  return rows
}

it('a full disk keeps a finished rollout, which can be finished again', async () => {
  await symlink('/dev/full', path)
  const { server, base } = await serveInto()
  await play(base, 'r')
  const full = await post(`${base}/hdpo/rollouts/r/finish`, { correct: true })
  expect(full.status).toBe(503)
  expect(full.json.error).toMatchObject({
    type: 'server_error',
    code: 'not_recorded',
    message: `rollout "r" could not be recorded and is kept; finish it again: cannot write ${path}: the disk is full (ENOSPC)`,
  })
  expect(lines.join('\n')).toContain('the disk is full')
  expect(server.metrics()).toMatchObject({ liveRollouts: 1, finishedRollouts: 0 })
  // It has ended, so that what is recorded later is what was played.
  const late = await post(`${base}/v1/chat/completions`, ask('?'), { 'x-hdpo-rollout': 'r' })
  expect(late).toMatchObject({ status: 409, json: { error: { code: 'rollout_ended' } } })
  await rm(path)
  const again = await post(`${base}/hdpo/rollouts/r/finish`, { correct: true })
  expect(again).toMatchObject({ status: 200, json: { id: 'r', turns: 1, end: 'answer' } })
  expect(await recorded()).toEqual([{ id: 'r', outcome: { correct: true }, end: 'answer' }])
  expect((await post(`${base}/hdpo/rollouts/r/finish`, { correct: true })).status).toBe(409)
  expect(server.metrics()).toMatchObject({ liveRollouts: 0, finishedRollouts: 1, segments: 1 })
  await server.close()
})

it('an outcome that could not be recorded is recorded when the server closes', async () => {
  await symlink('/dev/full', path)
  const { server, base } = await serveInto()
  for (const id of ['kept', 'open']) await play(base, id)
  await post(`${base}/hdpo/rollouts/kept/finish`, { reward: 0.5 })
  await rm(path)
  await server.close()
  const ends = await recorded()
  expect(ends).toHaveLength(2)
  expect(ends).toContainEqual({ id: 'kept', outcome: { reward: 0.5 }, end: 'answer' })
  expect(ends).toContainEqual({ id: 'open', outcome: undefined, end: 'aborted' })
})

it('a server whose disk stays full closes all the same, and says what is lost', async () => {
  await symlink('/dev/full', path)
  const { server, base } = await serveInto()
  await play(base, 'r')
  await server.close()
  expect(lines.join('\n')).toContain(`warning: rollout "r": cannot write ${path}: the disk is full (ENOSPC)`)
  await expect(fetch(`${base}/health`)).rejects.toThrow()
})

it('an idle rollout is recorded with the outcome that it has, once that is possible', async () => {
  let works = false
  const ends: unknown[] = []
  const { url, warnings, server } = await serve(hello, {
    idleTimeout: 300,
    onRollout: ({ outcome }) => {
      if (!works) throw new Error('the database is away')
      ends.push(outcome)
    },
  })
  await play(url, 'r')
  const failed = await post(`${url}/hdpo/rollouts/r/finish`, { correct: false })
  // What a callback throws is for the log, not for clients.
  expect(failed.json.error.message).toBe('rollout "r" could not be recorded and is kept; finish it again')
  expect(warnings.join('\n')).toContain('the database is away')
  works = true
  await expect.poll(() => ends).toEqual([{ correct: false }])
  expect(server.metrics()).toMatchObject({ liveRollouts: 0, finishedRollouts: 1, idleRollouts: 0 })
})

it('a second finish waits for nothing: the first one is at work', async () => {
  let release = () => {}
  const gate = new Promise<void>((resolve) => {
    release = resolve
  })
  const { url, rollout } = await serve(hello, { onRollout: () => gate })
  const handle: RolloutHandle = rollout({ id: 'r' })
  await post(`${url}/v1/chat/completions`, ask('?'), { 'x-hdpo-rollout': 'r' })
  const first = handle.finish({ correct: true })
  await expect(handle.finish({ correct: false })).rejects.toMatchObject({ code: 'rollout_ending' })
  expect((await post(`${url}/hdpo/rollouts/r/abandon`, {})).json.error.code).toBe('rollout_ending')
  release()
  expect((await first).outcome).toEqual({ correct: true })
  await expect(handle.finish({ correct: true })).rejects.toMatchObject({ code: 'rollout_ended' })
})

it('a line that a crash cut off is removed at the start, so that the next one is whole', async () => {
  await writeFile(path, '{"id":"before","end":"answer"}\n{"id":"torn","tok')
  const { server, base } = await serveInto()
  expect(lines[0]).toBe(
    `warning: ${path}: its last line was cut off when its writer ended; these 17 bytes are removed`,
  )
  await play(base, 'r')
  await post(`${base}/hdpo/rollouts/r/finish`, { correct: true })
  await server.close()
  expect((await recorded()).map((row) => (row as { id: string }).id)).toEqual(['before', 'r'])
  const text = await readFile(path, 'utf8')
  await writeFile(path, text.replace('\n', '\n{"id":"half\n'))
  await expect(recorded()).rejects.toThrow(`${path}:2`)
})
