// The thread that writes run.sqlite while a run trains.
import { constants, platform, setPriority } from 'node:os'
import { parentPort, workerData } from 'node:worker_threads'
import { RunStore } from './run-store.js'

const port = parentPort
if (!port) throw new Error('index-worker is a worker thread, not a program')

// On Linux a priority belongs to a thread, so the trainer's threads go first; elsewhere it would apply to the whole process.
if (platform() === 'linux') setPriority(0, constants.priority.PRIORITY_BELOW_NORMAL)

let store: RunStore | undefined
port.on('message', (message: 'update' | 'close') => {
  if (message === 'close') {
    store?.close()
    port.close()
    return
  }
  try {
    store ??= RunStore.open((workerData as { path: string }).path, {
      warn: (warning) => port.postMessage({ warning }),
    })
    store.updateAll()
    port.postMessage({})
  } catch (error) {
    port.postMessage({ error: (error as Error).message })
  }
})
