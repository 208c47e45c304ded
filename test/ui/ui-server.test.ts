import { appendFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { rolloutId } from '../../lib/run/store/rollout-record.js'
import { startUi, type UiOptions, type UiServer } from '../../lib/ui/ui-server.js'
import { refuses } from '../core/wrong-options.js'
import { writeRun, writeStep } from '../run/store/recorded-run.js'

let folder: string
let ui: UiServer | undefined
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hdpo-ui-'))
  await writeRun(join(folder, 'first'), 3)
})
afterEach(async () => {
  await ui?.close()
  ui = undefined
  await rm(folder, { recursive: true, force: true })
})

async function start(options: Partial<UiOptions> = {}): Promise<string> {
  ui = await startUi({
    folder,
    interval: 50,
    onWarning: (message) => expect.unreachable(message),
    ...options,
  })
  return ui.url
}

/** A server that has indexed the run: a request waits a moment for that, then answers with what is indexed so far. */
async function startIndexed(): Promise<string> {
  const url = await start()
  await untilRuns(url, [['first', 3, 12]])
  return url
}

async function untilRuns(url: string, expected: [id: string, lastStep: number, rollouts: number][]) {
  const found = async () => {
    const { body } = await get(`${url}/api/runs`)
    return body.runs.map(({ id, lastStep, rollouts }) => [id, lastStep, rollouts])
  }
  await expect.poll(found, { timeout: 60_000 }).toEqual(expected)
}

/** All fields of the answers below. */
interface Body {
  runs: { id: string; lastStep: number; rollouts: number }[]
  series: object
  count: number
  group: { rollout: number }[]
  sequences: object[][]
}

async function get(url: string, init?: RequestInit) {
  const response = await fetch(url, init)
  return { status: response.status, body: (await response.json()) as Body }
}

describe('startUi', () => {
  it('finds runs below the folder, new ones too', async () => {
    const url = await start()
    expect(ui?.runs).toEqual(['first'])
    await writeRun(join(folder, 'sweep', 'seed-10'), 1)
    await untilRuns(url, [
      ['first', 3, 12],
      ['sweep/seed-10', 1, 4],
    ])
  })

  it('answers for series, rollouts and a rollout with its group', async () => {
    const url = await startIndexed()
    const series = await get(`${url}/api/series?run=first&names=accuracy&after=1`)
    expect(series.body).toEqual({ series: { accuracy: { steps: [2, 3], values: [0.2, 0.3] } }, lastStep: 3 })
    const found = await get(`${url}/api/rollouts?run=first&correct=false&search=nuuk`)
    expect(found.body.count).toBe(0)
    const { body } = await get(`${url}/api/rollout?run=first&id=${rolloutId(2, 1)}`)
    expect(body.group.map(({ rollout }) => rollout)).toEqual([0, 1])
    expect(body.sequences[0]?.slice(1)).toEqual([
      { text: '[6]' },
      { text: '[7]', logprob: -0.5, accuracy: -0.7, efficiency: 0 },
      { text: '[300]', logprob: -1, accuracy: -0.7, efficiency: 0 },
    ])
  })

  it('says what is wrong with a request', async () => {
    const url = await start()
    expect((await get(`${url}/api/rollouts?run=..%2Ffirst`)).status).toBe(404)
    expect((await get(`${url}/api/rollouts?run=first&step=-1`)).status).toBe(400)
    expect((await get(`${url}/api/rollout?run=first&id=999`)).status).toBe(404)
    expect((await get(`${url}/app.js/../../../package.json`)).status).toBe(404)
    expect((await get(`${url}/constructor`)).status).toBe(404)
    const posted = await fetch(`${url}/api/runs`, {
      method: 'POST',
      headers: { origin: 'http://evil.example' },
    })
    expect(posted.status).toBe(405)
    expect(posted.headers.get('allow')).toBe('GET, HEAD')
  })

  it('answers HEAD as GET without a body, also for the stream of events', async () => {
    const url = await start()
    for (const path of ['/', '/api/runs', '/metrics', '/api/events']) {
      const head = await fetch(url + path, { method: 'HEAD' })
      expect(head.status).toBe(200)
      expect(await head.text()).toBe('')
    }
  })

  it('tells open pages of what a trainer writes', async () => {
    const url = await start()
    const response = await fetch(`${url}/api/events`)
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
    })
    const reader = (response.body as ReadableStream<Uint8Array>)
      .pipeThrough(new TextDecoderStream())
      .getReader()
    const next = async (pattern: RegExp) => {
      for (let text = ''; !pattern.test(text); ) {
        const { value, done } = await reader.read()
        if (done) throw new Error(`the events ended with ${text}`)
        text += value
      }
    }
    await next(/"lastStep":3/)
    await writeStep(join(folder, 'first'), 4)
    await appendFile(join(folder, 'first', 'metrics.jsonl'), '{"step":4,"accuracy":0.9}\n')
    await next(/"lastStep":4,"rollouts":16,"live":true/)
    await reader.cancel()
  })

  it('needs a token off loopback, and takes it once in the address', async () => {
    await expect(startUi({ folder, host: '0.0.0.0' })).rejects.toMatchObject({ code: 'ERR_TOKEN_NEEDED' })
    const url = await start({ token: 'a-secret&more' })
    expect((await get(`${url}/api/runs`)).status).toBe(401)
    expect((await fetch(`${url}/`)).status).toBe(401)
    expect((await fetch(`${url}/?token=wrong`)).status).toBe(401)
    const login = await fetch(`${url}/?token=${encodeURIComponent('a-secret&more')}`, { redirect: 'manual' })
    expect(login.status).toBe(303)
    const cookie = login.headers.get('set-cookie') ?? ''
    expect(cookie).toMatch(/HttpOnly; SameSite=Strict/)
    expect(
      (await get(`${url}/api/runs`, { headers: { cookie: cookie.split(';')[0] as string } })).status,
    ).toBe(200)
    const bearer = await get(`${url}/api/runs`, { headers: { authorization: 'Bearer nothing' } })
    expect(bearer.status).toBe(401)
  })

  it('allows no script but its own', async () => {
    const url = await start()
    const page = await fetch(`${url}/`)
    expect(page.headers.get('content-security-policy')).toMatch(/default-src 'none'; script-src 'self';/)
    expect(await page.text()).not.toMatch(/<script(?![^>]* src="\/)/)
  })

  it('gives Prometheus the newest step of every run', async () => {
    const url = await startIndexed()
    const text = await (await fetch(`${url}/metrics`)).text()
    expect(text).toContain('# TYPE hdpo_calls_per_rollout gauge\nhdpo_calls_per_rollout{run="first"} 0.5\n')
    expect(text).toContain('hdpo_seconds_train{run="first"} 1.5\n')
  })
})

describe('startUi refuses', () => {
  refuses(startUi, [
    [{}, 'startUi.folder: must be text, got undefined'],
    [{ folder: '.', port: 1e6 }, 'startUi.port: must be a whole number from 0 to 65535, got 1000000'],
    [
      { folder: '.', token: 'short' },
      'startUi.token: must be text of at least 8 characters, got 5 characters',
    ],
    [{ folder: '.', interval: 0 }, 'startUi.interval: must be greater than 0 and at most 2147483647, got 0'],
  ])
})
