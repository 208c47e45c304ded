import { join } from 'node:path'
import writeFileAtomic from 'write-file-atomic'
import { z } from 'zod'
import { HdpoError } from '../core/errors.js'
import { InvalidOptionError } from '../core/option-error.js'
import { milliseconds, secret, text, webAddress } from '../core/option-kinds.js'
import { type OptionsOf, type ResolvedOptions, readOptions } from '../core/options.js'
import { readIfThere } from '../core/read-if-there.js'
import { redact } from '../core/redact.js'
import { AttemptError, fetchWithRetries } from '../http/fetch-with-retries.js'
import { retryShape } from '../http/retry-options.js'
import { flattenConfig } from './flatten-config.js'
import type { LoggedRun, RunLogger } from './types.js'

export const mlflowShape = {
  /** The URL of the tracking server. Default: MLFLOW_TRACKING_URI of the environment. */
  url: webAddress.optional(),
  /** The experiment that runs belong to; it is created where there is none with this name. Default 'hdpo'. */
  experiment: text.default('hdpo'),
  /** Sent as a bearer token. Default: MLFLOW_TRACKING_TOKEN of the environment, where it is set. */
  token: secret.optional(),
  ...retryShape,
  /** Attempts after the first one, for time-outs, 429, 5xx and broken connections. Default 3. */
  retries: z.int().min(0).default(3),
  /** Milliseconds for one attempt, its body included. Default 20,000. */
  timeout: milliseconds.default(20_000),
}
const mlflowOptions = z.strictObject(mlflowShape)
export interface MlflowOptions extends OptionsOf<typeof mlflowShape> {}
type ResolvedMlflow = ResolvedOptions<typeof mlflowShape>

/** Logs runs over MLflow's REST API 2.0. A resumed run continues the MLflow run that it began. */
export function mlflow(given: MlflowOptions = {}): RunLogger {
  const options = readOptions(mlflowOptions, given, 'mlflow')
  const url = options.url ?? addressFromEnvironment()
  const client = new MlflowClient(url, options)
  let runId = ''
  return {
    name: 'mlflow',
    async start(run) {
      runId = await client.openRun(run, options.experiment)
    },
    async log(step, metrics) {
      const timestamp = Date.now()
      const entries = Object.entries(metrics).map(([key, value]) => ({ key, value, timestamp, step }))
      await client.post('runs/log-batch', { run_id: runId, metrics: entries })
    },
    async end(outcome) {
      const status = { finished: 'FINISHED', stopped: 'KILLED', failed: 'FAILED' }[outcome]
      await client.post('runs/update', { run_id: runId, status, end_time: Date.now() })
    },
  }
}

function addressFromEnvironment(): string {
  const variable = 'MLFLOW_TRACKING_URI'
  const address = process.env[variable]
  if (address) return readOptions(webAddress, address, variable)
  throw new InvalidOptionError('mlflow.url', `the tracking server, where ${variable} is not set`, undefined)
}

// The most parameters per request, and the longest value of a parameter.
const paramsPerRequest = 100
const longestParam = 500

class MlflowClient {
  readonly #token: string | undefined

  constructor(
    private readonly url: string,
    private readonly options: ResolvedMlflow,
  ) {
    this.#token = options.token ?? process.env.MLFLOW_TRACKING_TOKEN
  }

  async openRun(run: LoggedRun, experiment: string): Promise<string> {
    const kept = join(run.folder, 'mlflow.json')
    if (run.resumedFrom > 0) {
      const runId = await keptRunId(kept)
      if (runId !== undefined) {
        await this.post('runs/update', { run_id: runId, status: 'RUNNING' })
        return runId
      }
    }
    const experimentId = await this.#experimentId(experiment)
    const created = (await this.post('runs/create', {
      experiment_id: experimentId,
      run_name: run.name,
      start_time: Date.now(),
      tags: [{ key: 'mlflow.source.name', value: 'hdpo' }],
    })) as { run: { info: { run_id: string } } }
    const runId = created.run.info.run_id
    await writeFileAtomic(kept, `${JSON.stringify({ runId })}\n`)
    const params = Object.entries(flattenConfig(run.config)).map(([key, value]) => ({
      key,
      value: redact(value).slice(0, longestParam),
    }))
    for (let begin = 0; begin < params.length; begin += paramsPerRequest) {
      const part = params.slice(begin, begin + paramsPerRequest)
      await this.post('runs/log-batch', { run_id: runId, params: part })
    }
    return runId
  }

  async #experimentId(name: string): Promise<string> {
    try {
      const path = `experiments/get-by-name?experiment_name=${encodeURIComponent(name)}`
      const found = (await this.#request(path)) as { experiment: { experiment_id: string } }
      return found.experiment.experiment_id
    } catch (error) {
      if (!(error instanceof AttemptError && error.message.startsWith('HTTP 404'))) throw error
      const created = (await this.post('experiments/create', { name })) as { experiment_id: string }
      return created.experiment_id
    }
  }

  post(path: string, body: object): Promise<unknown> {
    return this.#request(path, {
      method: 'POST',
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json' },
    })
  }

  #request(path: string, init: RequestInit = {}): Promise<unknown> {
    const base = this.url.endsWith('/') ? this.url : `${this.url}/`
    const headers = new Headers(init.headers)
    if (this.#token !== undefined) headers.set('authorization', `Bearer ${this.#token}`)
    const { retries, timeout, minimumDelay, maximumDelay } = this.options
    return fetchWithRetries(
      new URL(`api/2.0/mlflow/${path}`, base),
      { ...init, headers },
      async (response) => (await response.json()) as unknown,
      { retries, timeout, minimumDelay, maximumDelay },
    )
  }
}

async function keptRunId(path: string): Promise<string | undefined> {
  const text = await readIfThere(path)
  if (text === undefined) return undefined
  const { runId } = JSON.parse(text) as { runId?: unknown }
  if (typeof runId !== 'string') throw new HdpoError('ERR_LOGGER', `${path} names no MLflow run`)
  return runId
}
