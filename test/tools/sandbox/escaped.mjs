// What JavaScript would find that got out of an interpreter, with every module already in its hands: tries each door
// and reports, as an interpreter would, which of them opened.
import childProcess from 'node:child_process'
import dgram from 'node:dgram'
import dns from 'node:dns'
import fs from 'node:fs'
import http from 'node:http'
import { createRequire } from 'node:module'
import net from 'node:net'
import vm from 'node:vm'
import { Worker } from 'node:worker_threads'
import { answer } from '../../../lib/tools/sandbox/conversation.mjs'
import { exit, removeGlobals, shutNetwork, shutProcesses } from '../../../lib/tools/sandbox/lockdown.mjs'

const { port, locked } = JSON.parse(process.argv[2])
const { fetch, process: own } = globalThis
const lineage = createRequire(import.meta.url)
if (locked) {
  shutNetwork()
  shutProcesses()
  removeGlobals()
}
setInterval(() => {}, 1000)

const connected = (socket) =>
  new Promise((resolve, reject) => {
    socket.on('connect', () => resolve('connected'))
    socket.on('error', reject)
  })
const shellsOwn = ['TZ', 'PWD', 'OLDPWD', 'SHLVL', '_']
const doors = {
  readFile: () => fs.readFileSync('/etc/passwd'),
  listFolder: () => fs.readdirSync('/'),
  writeFile: () => fs.writeFileSync('/tmp/hdpo-escaped', ''),
  spawn: () => childProcess.spawnSync('/bin/echo', ['out']).stdout ?? Promise.reject(new Error('no output')),
  fork: () => childProcess.execFileSync('/bin/true'),
  thread: () =>
    new Promise((resolve, reject) =>
      new Worker('1', { eval: true }).on('online', resolve).on('error', reject),
    ),
  tcp: () => connected(net.connect(port, '127.0.0.1')),
  listen: () =>
    new Promise((resolve, reject) =>
      net
        .createServer()
        .on('error', reject)
        .listen(0, () => resolve('listening')),
    ),
  http: () =>
    new Promise((resolve, reject) => http.get({ port, host: '127.0.0.1' }, resolve).on('error', reject)),
  fetch: () => fetch(`http://127.0.0.1:${port}/`),
  udp: () =>
    new Promise((resolve, reject) => {
      const socket = dgram.createSocket('udp4')
      socket.on('error', reject)
      socket.connect(port, '127.0.0.1', (error) => (error ? reject(error) : resolve('connected')))
    }),
  dns: () =>
    new Promise((resolve, reject) =>
      dns.resolve('localhost', (error) => (error ? reject(error) : resolve('resolved'))),
    ),
  localSocket: () => connected(net.connect('/tmp/hdpo-no-such-socket')),
  newFunction: () => Reflect.construct(Function, ['return 1']),
  indirectEval: () => Reflect.get(globalThis, 'eval')('1'),
  binding: () => own.binding('tcp_wrap'),
  addon: () => own.dlopen({ exports: {} }, '/tmp/none.node'),
  module: () => lineage('/etc/hostname'),
  environment: () =>
    Object.keys(own.env).filter((name) => !shellsOwn.includes(name)).length ||
    Promise.reject(new Error('empty')),
  globals: () => (typeof globalThis.process === 'undefined' ? Promise.reject(new Error('gone')) : 'process'),
  context: () => vm.runInNewContext('this.constructor.constructor("return 1")()'),
}

const opened = []
const errors = {}
const giveUp = (milliseconds) =>
  new Promise((_, reject) => setTimeout(() => reject(new Error('nothing came')), milliseconds))
for (const [name, open] of Object.entries(doors)) {
  try {
    // None of them hangs; on a busy machine one that opens may take seconds, and would pass for shut.
    await Promise.race([open(), giveUp(20_000)])
    opened.push(name)
  } catch (error) {
    errors[name] = String(error?.message ?? error).slice(0, 100)
  }
}
answer({ opened, errors })
exit(0)
