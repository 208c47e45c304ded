// @ts-check
// What an interpreter's process gives up before it runs a policy's code. The interpreters are WebAssembly and
// reach the machine through JavaScript alone, so JavaScript is where the doors are: each is shut here, on top of
// the flags the process is started with (no code from strings, no files, no child processes, no threads, a
// memory and a CPU limit, an empty environment, where the kernel allows it no network at all). See launch.ts.
import childProcess from 'node:child_process'
import dgram from 'node:dgram'
import dns from 'node:dns'
import net from 'node:net'

/** Node's own process object, for the interpreter's program; afterwards nothing else can reach it. */
export const { exit, versions } = process

/** Globals that reach out of the process or start code elsewhere. */
const outward = [
  'process',
  'Buffer',
  'fetch',
  'Request',
  'Response',
  'Headers',
  'FormData',
  'WebSocket',
  'EventSource',
  'CloseEvent',
  'XMLHttpRequest',
  'BroadcastChannel',
  'MessageChannel',
  'MessagePort',
  'Worker',
  'navigator',
  'localStorage',
  'sessionStorage',
  'require',
  'module',
  'global',
]

/** Sockets of every kind, at the lowest level that JavaScript can name, for whoever finds a way to them. */
export function shutNetwork() {
  const refuse = () => {
    throw new Error('the sandbox has no network')
  }
  for (const handle of socketHandles()) {
    deny(
      Object.getPrototypeOf(handle),
      ['connect', 'connect6', 'bind', 'bind6', 'listen', 'open', 'send', 'send6'],
      refuse,
    )
    handle.close()
  }
  deny(net.Socket.prototype, ['connect'], refuse)
  deny(net.Server.prototype, ['listen'], refuse)
  deny(dgram.Socket.prototype, ['bind', 'connect', 'send'], refuse)
  deny(
    dns.Resolver.prototype,
    Object.getOwnPropertyNames(dns.Resolver.prototype).filter((name) => name !== 'constructor'),
    refuse,
  )
  deny(
    dns,
    ['lookup', 'lookupService', ...Object.keys(dns).filter((name) => name.startsWith('resolve'))],
    refuse,
  )
}

/** Other programs, for whoever gets past the permission model. */
export function shutProcesses() {
  const refuse = () => {
    throw new Error('the sandbox runs no processes')
  }
  deny(childProcess.ChildProcess.prototype, ['spawn'], refuse)
  deny(childProcess, ['exec', 'execFile', 'execFileSync', 'execSync', 'fork', 'spawn', 'spawnSync'], refuse)
}

/** Removes from the global object what leads out of the process. */
export function removeGlobals() {
  for (const name of outward) {
    if (!(name in globalThis)) continue
    if (!Reflect.deleteProperty(globalThis, name)) throw new Error(`lockdown: cannot remove ${name}`)
  }
}

/**
 * Of an interpreter's whole memory, in MiB. Beyond it malloc fails, which Python reports as MemoryError and QuickJS
 * as an exception. (QuickJS's own limit cannot see the size of an allocation in WebAssembly, and stops nothing.)
 * @param {number} mebibytes
 */
export function limitWasmMemory(mebibytes) {
  // Not in TypeScript's types for Node 20.
  const { Memory } = /** @type {any} */ (globalThis).WebAssembly
  const { grow } = Memory.prototype
  const pageBytes = 65_536
  const most = Math.ceil((mebibytes * 2 ** 20) / pageBytes)
  Memory.prototype.grow = function (/** @type {number} */ pages) {
    if (this.buffer.byteLength / pageBytes + pages > most) throw new RangeError('memory limit of the sandbox')
    return grow.call(this, pages)
  }
}

/** One handle of TCP, of local sockets (their classes are not exported), and of UDP. */
function socketHandles() {
  const server = /** @type {any} */ (net)._createServerHandle
  const tcp = server(null, 0, 4)
  const udp = /** @type {any} */ (dgram)._createSocketHandle(null, 0, 'udp4')
  const handles = [tcp, udp].filter((handle) => typeof handle === 'object')
  const pipe = localSocketHandle()
  return pipe ? [...handles, pipe] : handles
}

/** A socket that was never connected makes its handle on the first attempt; the address cannot exist. */
function localSocketHandle() {
  const socket = /** @type {any} */ (new net.Socket())
  socket.on('error', () => {})
  socket.connect({ path: '/nowhere/at/all' })
  const handle = socket._handle
  socket._handle = null
  socket.destroy()
  return handle
}

/**
 * @param {any} object
 * @param {string[]} names
 * @param {() => never} refuse
 */
function deny(object, names, refuse) {
  for (const name of names) {
    if (!(name in object)) continue
    Object.defineProperty(object, name, { value: refuse, writable: false, configurable: false })
  }
}
