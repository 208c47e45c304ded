// Each layer of the sandbox alone, against JavaScript that is already out of its interpreter.
import { spawn } from 'node:child_process'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isolatedNetwork, launchCommand } from '../../../lib/tools/sandbox/launch.js'
import { resolveSandboxOptions } from '../../../lib/tools/sandbox/options.js'

const entry = fileURLToPath(new URL('escaped.mjs', import.meta.url))
const limits = resolveSandboxOptions({}, 'javascript')
const server = createServer((socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n'))
beforeAll(() => new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve)))
afterAll(() => void server.close())

const files = ['readFile', 'listFolder', 'writeFile', 'module', 'addon']
const processes = ['spawn', 'fork', 'thread']
const network = ['tcp', 'listen', 'http', 'fetch', 'udp', 'dns', 'localSocket']
const code = ['newFunction', 'indirectEval']

async function tryDoors(locked: boolean, networkNamespace: boolean): Promise<string[]> {
  const { port } = server.address() as AddressInfo
  const folders = [fileURLToPath(new URL('.', import.meta.url))]
  const command = await launchCommand({ entry, settings: { port, locked }, folders }, limits, {
    networkNamespace,
  })
  const child = spawn(command.file, command.arguments, {
    env: { TZ: 'UTC' },
    cwd: '/',
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
  })
  const [answer, complaints] = await Promise.all([
    text(child.stdio[3] as Readable),
    text(child.stderr as Readable),
  ])
  if (answer === '') throw new Error(complaints.slice(-2000))
  return (JSON.parse(answer) as { opened: string[] }).opened
}

describe('the layers of the sandbox', () => {
  it('the flags alone: no files, no processes, no code from strings, no keys', async () => {
    const opened = await tryDoors(false, false)
    expect(opened).toEqual(
      expect.not.arrayContaining([...files, ...processes, ...code, 'binding', 'environment']),
    )
    // The flags leave these open, which is why there are other layers; otherwise those layers' tests would prove nothing.
    expect(opened).toEqual(expect.arrayContaining(['tcp', 'http', 'fetch', 'globals']))
    for (const door of [...files, ...processes, ...code, 'binding', 'environment'])
      expect(opened).not.toContain(door)
  })

  it('the lockdown without the kernel: no network either', async () => {
    const opened = await tryDoors(true, false)
    for (const door of [...files, ...processes, ...network, ...code, 'globals'])
      expect(opened).not.toContain(door)
  })

  it('the kernel without the lockdown, where it gives namespaces: nothing to connect to', async ({
    skip,
  }) => {
    if ((await isolatedNetwork()).length === 0) skip('no network namespaces for ordinary users here')
    const opened = await tryDoors(false, true)
    for (const door of ['tcp', 'http', 'fetch', 'udp', 'dns']) expect(opened).not.toContain(door)
  })
})
