import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { type ServeFlags, startServing } from '../../lib/cli/commands/serve.js'
import { createProgram } from '../../lib/cli/program.js'
import { lockFolder } from '../../lib/core/folder-lock.js'
import { ask, post } from '../server/conversations.js'
import { ServedPolicy } from '../server/served-policy.js'

const token = 'a-token-that-nobody-sees'
const flags: ServeFlags = { host: '127.0.0.1', port: 0, temperature: 0.5, maxBody: 0.001, idleTimeout: 600 }

let folder: string
const lines: string[] = []
const say = { log: (line: string) => void lines.push(line), error: (line: string) => void lines.push(line) }
const url = () => (lines[0] as string).replace('base URL: ', '')

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hdpo-serve-'))
  lines.length = 0
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await rm(folder, { recursive: true, force: true })
})

it('serves a policy under the name of its folder, and appends rollouts to a file, secrets left out', async () => {
  vi.stubEnv('HDPO_TOKEN', token)
  const policy = new ServedPolicy(() => `the token is ${token}<|end|>`)
  const server = await startServing(policy, 'runs/my-agent', { ...flags, output: folder }, say)
  expect(lines.slice(1)).toEqual([
    'model: my-agent',
    'token: needed',
    `rollouts: ${join(folder, 'rollouts.jsonl')}`,
  ])
  const headers = { authorization: `Bearer ${token}` }
  const base = url().replace('/v1', '')
  for (const id of ['one', 'two']) {
    await post(`${base}/hdpo/rollouts`, { id, task: 'question' }, headers)
    const request = { ...ask('?'), model: 'my-agent' }
    await post(`${url()}/chat/completions`, request, { ...headers, 'x-hdpo-rollout': id })
    await post(`${base}/hdpo/rollouts/${id}/finish`, { reward: 0.25 }, headers)
  }
  await server.close()
  expect(policy.samplings[0]).toMatchObject({ temperature: 0.5 })
  const text = await readFile(join(folder, 'rollouts.jsonl'), 'utf8')
  const rollouts = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(rollouts.map(({ id, taskId, outcome }) => [id, taskId, outcome])).toEqual([
    ['one', 'question', { reward: 0.25 }],
    ['two', 'question', { reward: 0.25 }],
  ])
  // The tokens are left out, because they spell the secret.
  expect(rollouts[0]).toMatchObject({ redacted: true })
  expect(rollouts[0]).not.toHaveProperty('tokens')
  expect(rollouts[0].mask.filter((bit: number) => bit === 1)).toHaveLength(`the token is ${token}`.length + 1)
  expect(text).not.toContain(token)
  expect(lines.join()).not.toContain(token)
})

it('keeps to the largest body', async () => {
  const server = await startServing(new ServedPolicy(() => 'x<|end|>'), 'agent', flags, say)
  const { status } = await post(`${url()}/chat/completions`, { ...ask('x'.repeat(2000)), model: 'agent' })
  expect(status).toBe(413)
  await server.close()
})

it('refuses to be reached from other machines without a token', async () => {
  vi.stubEnv('HDPO_TOKEN', undefined)
  const serving = startServing(new ServedPolicy(() => ''), 'agent', { ...flags, host: '0.0.0.0' }, say)
  await expect(serving).rejects.toMatchObject({ code: 'ERR_TOKEN_NEEDED' })
})

it('does not write where another one writes', async () => {
  const lock = await lockFolder(folder)
  const program = createProgram()
  const serving = program.parseAsync(['node', 'hdpo', 'serve', 'no-such-policy', '--output', folder])
  await expect(serving).rejects.toMatchObject({ code: 'ERR_RUN_IN_USE' })
  await lock.release()
})
