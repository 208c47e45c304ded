import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Gauge, Registry } from 'prom-client'
import { z } from 'zod'
import { HdpoError } from '../core/errors.js'
import { instance, port, text } from '../core/option-kinds.js'
import { type OptionsOf, readOptions } from '../core/options.js'
import { prometheusName } from './metric-name.js'
import type { RunLogger } from './types.js'

/**
 * A Registry of prom-client, by what it is known by: the package is optional, so a type of it would not compile for who has it
 * not.
 */
export interface PrometheusRegistry {
  readonly contentType: string
  metrics(): Promise<string>
  getSingleMetric(name: string): object | undefined
}

export const prometheusShape = {
  /** A registry of prom-client whose endpoint the embedding service serves. Give this or `port`. */
  register: instance<PrometheusRegistry>('a registry of prom-client', 'getSingleMetric').optional(),
  /** The port of an endpoint of its own, http://<host>:<port>/metrics; 0 takes any free port. */
  port: port.optional(),
  /** The address that this endpoint listens on. Metrics are no secret, but only this machine needs them. Default 127.0.0.1. */
  host: text.default('127.0.0.1'),
}
const prometheusOptions = z
  .strictObject(prometheusShape)
  .refine(({ register, port }) => register !== undefined || port !== undefined, {
    path: ['port'],
    message: 'a port, where no register is given',
  })
  .refine(({ register, port }) => register === undefined || port === undefined, {
    path: ['port'],
    message: 'left out where a register is given',
  })
export interface PrometheusOptions extends OptionsOf<typeof prometheusShape> {}

export interface PrometheusLogger extends RunLogger {
  /** The URL of its own endpoint, once the run has started. */
  readonly url: string | undefined
}

/** Gauges hdpo_<metric>{run="..."} with the values of the newest step, and hdpo_step. Needs the package prom-client. */
export function prometheus(given: PrometheusOptions): PrometheusLogger {
  const options = readOptions(prometheusOptions, given, 'prometheus')
  let gauges: Gauges | undefined
  let server: Server | undefined
  let run = ''
  return {
    name: 'prometheus',
    get url() {
      const address = server?.address() as AddressInfo | null | undefined
      return address ? `http://${host(address)}:${address.port}/metrics` : undefined
    },
    async start({ name }) {
      const client = await loadClient()
      const register = options.register ?? new client.Registry()
      run = name
      gauges = new Gauges(client, register)
      if (options.port !== undefined) server = await serve(register, options.port, options.host)
    },
    log(step, metrics) {
      gauges?.set(run, 'step', step)
      for (const [name, value] of Object.entries(metrics)) gauges?.set(run, name, value)
    },
    async end() {
      const closing = server
      if (closing) await new Promise((closed) => closing.close(closed))
      server = undefined
    },
  }
}

type Client = typeof import('prom-client')

async function loadClient(): Promise<Client> {
  try {
    return await import('prom-client')
  } catch (error) {
    throw new HdpoError('ERR_LOGGER', 'prometheus needs the package prom-client: npm install prom-client', {
      cause: error,
    })
  }
}

class Gauges {
  readonly #gauges = new Map<string, Gauge<'run'>>()

  constructor(
    private readonly client: Client,
    private readonly register: PrometheusRegistry,
  ) {}

  set(run: string, metric: string, value: number): void {
    const name = prometheusName(metric)
    let gauge = this.#gauges.get(name)
    if (!gauge) {
      // Another run in this process may have registered the metric.
      const known = this.register.getSingleMetric(name) as Gauge<'run'> | undefined
      gauge =
        known ??
        new this.client.Gauge({
          name,
          help: `${metric} of the newest step, as in metrics.jsonl`,
          labelNames: ['run'],
          registers: [this.register as Registry],
        })
      this.#gauges.set(name, gauge)
    }
    gauge.set({ run }, value)
  }
}

function serve(register: PrometheusRegistry, port: number, hostName: string): Promise<Server> {
  const server = createServer((request, response) => {
    if (request.method !== 'GET' || request.url !== '/metrics') {
      response.writeHead(404).end()
      return
    }
    register.metrics().then(
      (text) => response.writeHead(200, { 'content-type': register.contentType }).end(text),
      (error: Error) => response.writeHead(500).end(error.message),
    )
  })
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, hostName, () => {
      server.unref()
      resolve(server)
    })
  })
}

function host({ address, family }: AddressInfo): string {
  return family === 'IPv6' ? `[${address}]` : address
}
