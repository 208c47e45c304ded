import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Registry } from 'prom-client'
import protobuf from 'protobufjs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { crc32c, maskedCrc } from '../../lib/loggers/event-file.js'
import { flattenConfig } from '../../lib/loggers/flatten-config.js'
import { flattenMetrics } from '../../lib/loggers/flatten-metrics.js'
import { LoggerQueue } from '../../lib/loggers/logger-queue.js'
import { mlflow } from '../../lib/loggers/mlflow.js'
import { prometheus } from '../../lib/loggers/prometheus.js'
import { tensorBoard } from '../../lib/loggers/tensorboard.js'
import type { LoggedRun, RunLogger } from '../../lib/loggers/types.js'
import { refuses } from '../core/wrong-options.js'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hdpo-loggers-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const run = (resumedFrom = 0): LoggedRun => ({
  name: 'manual',
  folder,
  config: { steps: 20, rollout: { temperature: 1 }, tools: ['search'] },
  resumedFrom,
})

describe('flattening', () => {
  it('keeps finite numbers and flags by path', () => {
    const metrics = {
      step: 3,
      loss: 0.5,
      skipped: false,
      seconds: { rollout: 1.5 },
      kl: Number.NaN,
      name: 'x',
    }
    expect(flattenMetrics(metrics)).toEqual({ loss: 0.5, skipped: 0, 'seconds/rollout': 1.5 })
  })

  it('writes a config as text', () => {
    expect(flattenConfig(run().config)).toEqual({
      steps: '20',
      'rollout.temperature': '1',
      tools: '["search"]',
    })
  })
})

describe('LoggerQueue', () => {
  const recording = (name: string, log: RunLogger['log']): RunLogger => ({ name, log })

  it('goes on without a logger that fails, and says so once', async () => {
    const warnings: string[] = []
    const seen: number[] = []
    const failing = recording('broken', () => Promise.reject(new Error('no route')))
    const queue = new LoggerQueue([failing, recording('good', (step) => void seen.push(step))], {
      warn: (message) => warnings.push(message),
    })
    queue.start(run())
    for (const step of [1, 2, 3]) queue.log({ step })
    await queue.end('finished')
    expect(seen).toEqual([1, 2, 3])
    expect(warnings).toEqual(['logger broken: no route; the run goes on without what failed'])
  })

  it('asks nothing more of a logger that could not start', async () => {
    const warnings: string[] = []
    let logged = 0
    const queue = new LoggerQueue(
      [
        {
          name: 'absent',
          start: () => Promise.reject(new Error('refused')),
          log: () => void logged++,
        },
      ],
      { warn: (message) => warnings.push(message) },
    )
    queue.start(run())
    queue.log({ step: 1 })
    await queue.end('finished')
    expect(logged).toBe(0)
    expect(warnings).toEqual(['logger absent: refused; the run goes on without it'])
  })

  it('waits for nobody longer than its patience, and keeps a bounded number of steps', async () => {
    const warnings: string[] = []
    const queue = new LoggerQueue([recording('stuck', () => new Promise(() => {}))], {
      warn: (message) => warnings.push(message),
      mostWaiting: 5,
      patience: 50,
    })
    for (let step = 1; step <= 20; step++) queue.log({ step })
    await queue.end('stopped')
    expect(warnings).toEqual([
      'logger stuck: 6 entries were not written within 50 ms',
      'logger stuck: too slow; 15 steps were left out',
    ])
  })
})

// An independent reader: protobufjs over the schema's fields that are used.
const eventType = protobuf
  .parse(
    `
  syntax = "proto3";
  message Value { string tag = 1; float simple_value = 2; }
  message Summary { repeated Value value = 1; }
  message SessionLog { int32 status = 1; }
  message Event { double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5; SessionLog session_log = 7; }
`,
    { keepCase: true },
  )
  .root.lookupType('Event')

interface DecodedEvent {
  wall_time: number
  step?: number
  file_version?: string
  summary?: { value: { tag: string; simple_value: number }[] }
  session_log?: { status: number }
}

async function readEvents(): Promise<DecodedEvent[]> {
  const events: DecodedEvent[] = []
  const path = join(folder, 'tensorboard')
  for (const file of (await readdir(path)).sort()) {
    expect(file).toMatch(/^events\.out\.tfevents\.\d+\./)
    const data = await readFile(join(path, file))
    for (let at = 0; at < data.length; ) {
      const length = Number(data.readBigUInt64LE(at))
      expect(data.readUInt32LE(at + 8)).toBe(maskedCrc(data.subarray(at, at + 8)))
      const body = data.subarray(at + 12, at + 12 + length)
      expect(data.readUInt32LE(at + 12 + length)).toBe(maskedCrc(body))
      events.push(eventType.toObject(eventType.decode(body), { longs: Number }) as DecodedEvent)
      at += length + 16
    }
  }
  return events
}

describe('tensorBoard', () => {
  it('has the checksum of the standard', () => {
    expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283)
    expect(crc32c(Buffer.alloc(32))).toBe(0x8a9136aa)
  })

  it('writes events that another reader reads', async () => {
    const logger = tensorBoard()
    await logger.start?.(run())
    await logger.log(1, { accuracy: 0.5, 'seconds/rollout': 2.25 })
    await logger.log(300, { accuracy: -1e-3 })
    const [version, first, second, ...more] = await readEvents()
    expect(more).toEqual([])
    expect(version?.file_version).toBe('brain.Event:2')
    expect(first?.step).toBe(1)
    expect(first?.summary?.value).toEqual([
      { tag: 'accuracy', simple_value: 0.5 },
      { tag: 'seconds/rollout', simple_value: 2.25 },
    ])
    expect(Math.abs((first?.wall_time ?? 0) - Date.now() / 1000)).toBeLessThan(60)
    expect(second?.step).toBe(300)
    expect(second?.summary?.value[0]?.simple_value).toBeCloseTo(-1e-3)
  })

  it('tells that a resumed run writes steps again', async () => {
    const logger = tensorBoard()
    await logger.start?.(run(10))
    const [, session] = await readEvents()
    expect(session).toMatchObject({ step: 11, session_log: { status: 1 } })
  })
})

describe('mlflow', () => {
  let server: Server
  let url: string
  let requests: { path: string; body: Record<string, unknown>; authorization: string | undefined }[]
  let failures: number
  const experiments = new Map<string, string>()

  // What MLflow's REST API answers to these calls.
  const answer = (path: string, body: Record<string, unknown>, query: URLSearchParams): [number, object] => {
    if (path.endsWith('experiments/get-by-name')) {
      const id = experiments.get(query.get('experiment_name') as string)
      return id
        ? [200, { experiment: { experiment_id: id } }]
        : [404, { error_code: 'RESOURCE_DOES_NOT_EXIST' }]
    }
    if (path.endsWith('experiments/create')) {
      experiments.set(body.name as string, '7')
      return [200, { experiment_id: '7' }]
    }
    if (path.endsWith('runs/create')) return [200, { run: { info: { run_id: 'abc' } } }]
    return [200, {}]
  }

  const bodyOf = async (request: IncomingMessage) => {
    let text = ''
    for await (const chunk of request) text += chunk
    return (text === '' ? {} : JSON.parse(text)) as Record<string, unknown>
  }

  beforeEach(async () => {
    requests = []
    failures = 0
    experiments.clear()
    server = createServer(async (request, response) => {
      const body = await bodyOf(request)
      const { pathname, searchParams } = new URL(request.url as string, 'http://localhost')
      if (failures-- > 0) return void response.writeHead(503).end()
      requests.push({ path: pathname, body, authorization: request.headers.authorization })
      const [status, reply] = answer(pathname, body, searchParams)
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(reply))
    })
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  })
  afterEach(() => new Promise((closed) => server.close(closed)))

  it('makes the experiment, a run with the config, and logs each step', async () => {
    const logger = mlflow({ url, experiment: 'agents', token: 'a-token-of-mine', minimumDelay: 1 })
    failures = 1
    await logger.start?.(run())
    await logger.log(4, { accuracy: 0.75 })
    await logger.end?.('finished')
    expect(requests.map(({ path }) => path.replace('/api/2.0/mlflow/', ''))).toEqual([
      'experiments/get-by-name',
      'experiments/create',
      'runs/create',
      'runs/log-batch',
      'runs/log-batch',
      'runs/update',
    ])
    expect(requests.every(({ authorization }) => authorization === 'Bearer a-token-of-mine')).toBe(true)
    expect(requests[2]?.body).toMatchObject({ experiment_id: '7', run_name: 'manual' })
    expect(requests[3]?.body.params).toContainEqual({ key: 'rollout.temperature', value: '1' })
    expect(requests[4]?.body).toMatchObject({
      run_id: 'abc',
      metrics: [{ key: 'accuracy', value: 0.75, step: 4 }],
    })
    expect(requests[5]?.body).toMatchObject({ status: 'FINISHED' })
  })

  it('goes on in the same run when it is resumed', async () => {
    await mlflow({ url }).start?.(run())
    requests = []
    const again = mlflow({ url })
    await again.start?.(run(10))
    await again.log(11, { loss: 1 })
    expect(requests.map(({ path }) => path.split('/').at(-1))).toEqual(['update', 'log-batch'])
    expect(requests[0]?.body).toEqual({ run_id: 'abc', status: 'RUNNING' })
  })

  it('names what it is not told', () => {
    expect(() => mlflow({ url: 'nowhere' })).toThrow(
      "mlflow.url: must be an address that begins with http:// or https://, got 'nowhere'",
    )
    const { MLFLOW_TRACKING_URI: kept } = process.env
    delete process.env.MLFLOW_TRACKING_URI
    expect(() => mlflow()).toThrow(
      'mlflow.url: must be the tracking server, where MLFLOW_TRACKING_URI is not set, got undefined',
    )
    process.env.MLFLOW_TRACKING_URI = 'nowhere'
    expect(() => mlflow()).toThrow(
      "MLFLOW_TRACKING_URI: must be an address that begins with http:// or https://, got 'nowhere'",
    )
    delete process.env.MLFLOW_TRACKING_URI
    if (kept !== undefined) process.env.MLFLOW_TRACKING_URI = kept
  })
})

describe('prometheus', () => {
  it('serves the newest values on an endpoint of its own, and closes it', async () => {
    const logger = prometheus({ port: 0 })
    await logger.start?.(run())
    await logger.log(1, { tokensPerSecond: 10 })
    await logger.log(2, { tokensPerSecond: 12.5, 'seconds/rollout': 3 })
    const url = logger.url as string
    const text = await (await fetch(url)).text()
    expect(text).toContain('hdpo_tokens_per_second{run="manual"} 12.5')
    expect(text).toContain('hdpo_seconds_rollout{run="manual"} 3')
    expect(text).toContain('hdpo_step{run="manual"} 2')
    expect((await fetch(url.replace('/metrics', '/else'))).status).toBe(404)
    await logger.end?.('finished')
    await expect(fetch(url)).rejects.toThrow()
  })

  it('joins the registry of a service, two runs in one', async () => {
    const register = new Registry()
    for (const name of ['one', 'two']) {
      const logger = prometheus({ register })
      await logger.start?.({ ...run(), name })
      await logger.log(1, { loss: 1 })
    }
    const text = await register.metrics()
    expect(text).toContain('hdpo_loss{run="one"} 1')
    expect(text).toContain('hdpo_loss{run="two"} 1')
  })

  refuses(prometheus, [
    [{}, 'prometheus.port: must be a port, where no register is given, got undefined'],
    [{ port: 70_000 }, 'prometheus.port: must be a whole number from 0 to 65535, got 70000'],
    [
      { port: 1, register: { getSingleMetric: () => undefined } },
      'prometheus.port: must be left out where a register is given, got 1',
    ],
  ])
})

describe('options of others', () => {
  refuses(mlflow, [
    [{ url: 'http://host', retries: -1 }, 'mlflow.retries: must be a whole number of at least 0, got -1'],
    [
      { url: 'http://host', tokn: 'a-secret' },
      'mlflow.tokn: must be left out (there is no such option; did you mean token?), got 8 characters',
    ],
  ])
  refuses(tensorBoard, [[{ folder: 3 }, 'tensorBoard.folder: must be text, got 3']])
})
