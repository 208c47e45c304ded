import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { Judge } from '../../lib/rewards/judge/judge.js'
import type { JudgeOptions } from '../../lib/rewards/judge/options.js'
import { parseVerdict } from '../../lib/rewards/judge/verdict.js'
import { refuses } from '../core/wrong-options.js'
import { complete, MisbehavingEndpoint, say, send } from './misbehaving-endpoint.js'

let endpoint: MisbehavingEndpoint
beforeAll(async () => {
  endpoint = await MisbehavingEndpoint.start()
})
afterAll(() => endpoint.stop())
beforeEach(() => endpoint.behave((response) => say(response, true)))
afterEach(() => vi.unstubAllEnvs())

const open = (options: Partial<JudgeOptions> = {}) =>
  new Judge({
    baseURL: endpoint.baseURL,
    model: 'judge-1',
    minimumDelay: 1,
    retries: 2,
    ...options,
  })
const ask = (content = 'question') => [{ role: 'user' as const, content }]

describe('a judge that answers', () => {
  it('decides, and sends model, key and messages', async () => {
    vi.stubEnv('MY_JUDGE_KEY', 'key-for-the-judge')
    const judge = open({ apiKeyVariable: 'MY_JUDGE_KEY', body: { reasoning_effort: 'low' } })
    expect(await judge.decide(ask())).toMatchObject({ kind: 'decided', correct: true })
    expect(endpoint.requests).toEqual([
      {
        path: '/v1/chat/completions',
        authorization: 'Bearer key-for-the-judge',
        body: {
          model: 'judge-1',
          messages: ask(),
          temperature: 0,
          response_format: { type: 'json_object' },
          reasoning_effort: 'low',
        },
      },
    ])
    expect(judge.statistics).toMatchObject({
      asked: 1,
      decided: 1,
      requests: 1,
      promptTokens: 10,
      completionTokens: 5,
    })
  })

  it('takes the majority of several votes and says how far they agree', async () => {
    // Three votes per question: yes yes no, then yes yes yes.
    endpoint.behave((response, { body }, index) =>
      say(response, body.messages[0]?.content !== 'split' || index !== 1),
    )
    const judge = open({ votes: 3 })
    expect(await judge.decide(ask('split'))).toMatchObject({ kind: 'decided', correct: true })
    expect(await judge.decide(ask('clear'))).toMatchObject({ kind: 'decided', correct: true })
    const { agreement } = judge.statistics
    // Pairs that agree: 1 of 3, 3 of 3. Chance: 5 of 6 votes are yes.
    expect(agreement).toMatchObject({ judged: 2, unanimous: 0.5 })
    expect(agreement.pairwise).toBeCloseTo(2 / 3, 12)
    expect(agreement.kappa).toBeCloseTo((2 / 3 - 26 / 36) / (1 - 26 / 36), 12)
  })

  it('is undecided on a tie', async () => {
    endpoint.behave((response, _, index) => say(response, index === 0))
    expect(await open({ votes: 2 }).decide(ask())).toEqual({
      kind: 'undecided',
      reason: "the judge's 2 votes have no majority: 1 correct, 1 wrong",
    })
  })

  it('has at most `concurrency` requests under way', async () => {
    endpoint.busiest = 0
    // Requests are answered a moment after the third has arrived: three must arrive, and a fourth would have had the time to.
    let arrived = 0
    const three = new Promise<void>((resolve) => {
      endpoint.behave((response) => {
        if (++arrived === 3) setTimeout(resolve, 50)
        void three.then(() => say(response, true))
      })
    })
    const judge = open({ concurrency: 3 })
    await Promise.all(Array.from({ length: 20 }, (_, index) => judge.decide(ask(String(index)))))
    expect(endpoint.requests).toHaveLength(20)
    expect(endpoint.busiest).toBe(3)
  })
})

describe('a judge that fails', () => {
  // Long enough for a request to reach the endpoint on a busy machine, since the endpoint counts them.
  const impatience = 1500
  const failures: [string, (failing: MisbehavingEndpoint) => void, string, number][] = [
    [
      'is down',
      (at) => at.behave((response) => send(response, 503, 'overloaded')),
      'HTTP 503: overloaded',
      3,
    ],
    ['limits the rate', (at) => at.behave((response) => send(response, 429, '')), 'HTTP 429', 3],
    ['hangs', (at) => at.behave(() => {}), `no answer within ${impatience} ms`, 3],
    [
      'hangs in the body',
      (at) => at.behave((response) => response.writeHead(200).write('{"cho')),
      'no answer within',
      3,
    ],
    ['breaks the connection', (at) => at.behave((response) => response.destroy()), 'fetch failed', 3],
    [
      'sends HTML',
      (at) => at.behave((response) => send(response, 200, '<html>')),
      'sent no JSON: "<html>"',
      3,
    ],
    [
      'sends null',
      (at) => at.behave((response) => send(response, 200, 'null')),
      'no chat completion: message: must be an object, got undefined; it sent "null"',
      3,
    ],
    [
      'has no choices',
      (at) => at.behave((response) => send(response, 200, '{"choices":[]}')),
      'no chat completion',
      3,
    ],
    ['sends no text', (at) => at.behave((response) => complete(response, null)), 'is no verdict: ""', 3],
    ['talks', (at) => at.behave((response) => complete(response, 'It is correct.')), 'is no verdict', 3],
    [
      'gives a verdict of text',
      (at) => at.behave((response) => complete(response, '{"correct": "yes"}')),
      'no verdict',
      3,
    ],
    ['refuses the question', (at) => at.behave((response) => send(response, 400, 'no')), 'HTTP 400: no', 1],
  ]
  it.each(failures)(
    'and %s leaves the thing undecided, with the reason',
    async (_, misbehave, reason, requests) => {
      misbehave(endpoint)
      const judge = open(reason.startsWith('no answer') ? { timeout: impatience } : {})
      const decision = await judge.decide(ask())
      expect(decision).toMatchObject({ kind: 'undecided', reason: expect.stringContaining(reason) })
      expect(endpoint.requests).toHaveLength(requests)
      expect(judge.statistics).toMatchObject({
        asked: 1,
        undecided: 1,
        failedVotes: 1,
        retries: requests - 1,
      })
    },
  )

  it('is asked again and may recover', async () => {
    endpoint.behave((response, _, index) => {
      if (index === 0) send(response, 500, '')
      else if (index === 1) complete(response, 'Let me think.')
      else say(response, false)
    })
    const judge = open()
    expect(await judge.decide(ask())).toMatchObject({ kind: 'decided', correct: false })
    expect(judge.statistics).toMatchObject({ retries: 2, requests: 1, failedVotes: 0 })
  })

  it('waits as long as Retry-After says, up to maximumDelay', async () => {
    endpoint.behave((response, _, index) =>
      index === 0 ? send(response, 429, '', { 'retry-after': '1' }) : say(response, true),
    )
    const start = performance.now()
    await open().decide(ask('patient'))
    expect(performance.now() - start).toBeGreaterThan(950)
    endpoint.behave((response, _, index) =>
      index === 0 ? send(response, 429, '', { 'retry-after': '900' }) : say(response, true),
    )
    // Without the maximum this test would take 15 minutes.
    expect(await open({ maximumDelay: 50 }).decide(ask('hurried'))).toMatchObject({ kind: 'decided' })
  })

  it('decides without the votes that never came where the others are more than half of all', async () => {
    const failOne = (response: Parameters<typeof say>[0], index: number) =>
      index % 3 === 0 ? send(response, 400, 'no') : say(response, true)
    endpoint.behave((response, _, index) => failOne(response, index))
    expect(await open({ votes: 3 }).decide(ask())).toMatchObject({ kind: 'decided', correct: true })
    endpoint.behave((response, _, index) => failOne(response, index % 2))
    expect(await open({ votes: 2 }).decide(ask())).toMatchObject({
      kind: 'undecided',
      reason: expect.stringContaining('400'),
    })
  })

  it('names no key in its reason, though the endpoint echoes it', async () => {
    endpoint.behave((response, { authorization }) => send(response, 400, `Incorrect key: ${authorization}`))
    const decision = await open({ apiKey: 'a-very-secret-value' }).decide(ask())
    expect(decision).toMatchObject({ kind: 'undecided', reason: expect.stringContaining('[redacted]') })
    expect(JSON.stringify(decision)).not.toContain('very-secret')
    endpoint.behave((response, { authorization }) => send(response, 401, `Incorrect key: ${authorization}`))
    const refusal = await open({ apiKey: 'a-very-secret-value' })
      .decide(ask())
      .catch((error: Error) => error.message)
    expect(refusal).toBe('the judge refuses every request: HTTP 401: Incorrect key: Bearer [redacted]')
  })

  it.each([
    [401, 'bad key'],
    [404, 'no model'],
    [402, 'no credit'],
    [429, '{"error":{"code":"insufficient_quota"}}'],
  ])('and refuses every question with %i ends the work', async (status, body) => {
    endpoint.behave((response) => send(response, status, body))
    await expect(open().decide(ask())).rejects.toMatchObject({
      code: 'ERR_ENDPOINT',
      message: `the judge refuses every request: HTTP ${status}: ${body}`,
    })
    expect(endpoint.requests).toHaveLength(1)
  })

  it('decides with the votes that came before the credit ran out', async () => {
    endpoint.behave((response, _, index) =>
      index < 2 ? say(response, true) : send(response, 402, 'no credit'),
    )
    expect(await open({ votes: 3, concurrency: 1 }).decide(ask())).toMatchObject({ correct: true })
  })
})

describe('the cache', () => {
  it('asks the same thing once, also at the same time, and failures again', async () => {
    const judge = open({ votes: 2 })
    await Promise.all([judge.decide(ask()), judge.decide(ask())])
    await judge.decide(ask())
    expect(endpoint.requests).toHaveLength(2)
    expect(judge.statistics).toMatchObject({ requests: 2, cachedVotes: 4, asked: 3 })
    endpoint.behave((response) => send(response, 400, ''))
    await judge.decide(ask('other'))
    await judge.decide(ask('other'))
    expect(endpoint.requests).toHaveLength(4)
  })

  it('keeps verdicts in a folder for the next run, and asks again for damaged ones', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'hdpo-judge-'))
    try {
      await open({ cache: { folder } }).decide(ask())
      expect(await open({ cache: { folder } }).decide(ask())).toMatchObject({
        kind: 'decided',
        correct: true,
      })
      expect(await open({ cache: { folder }, model: 'judge-2' }).decide(ask())).toMatchObject({
        kind: 'decided',
      })
      expect(endpoint.requests.map(({ body }) => body.model)).toEqual(['judge-1', 'judge-2'])
      for (const name of await readdir(folder, { recursive: true })) {
        if (name.endsWith('.json')) await writeFile(join(folder, name), '{"corr')
      }
      await open({ cache: { folder } }).decide(ask())
      expect(endpoint.requests).toHaveLength(3)
      const kept = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith('.json'))
      expect(await Promise.all(kept.map((name) => readFile(join(folder, name), 'utf8')))).toContain(
        '{"correct":true,"reason":"because"}\n',
      )
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  it('can be off', async () => {
    const judge = open({ cache: false })
    await judge.decide(ask())
    await judge.decide(ask())
    expect(endpoint.requests).toHaveLength(2)
  })
})

describe('parseVerdict', () => {
  it.each<[string, boolean | undefined]>([
    ['{"correct": true}', true],
    [' {"reason": "no", "correct": false}\n', false],
    ['```json\n{"correct": true}\n```', true],
    ['<think>{"correct": false}</think>\n{"correct": true}', true],
    ['They are the same.\n</think>\n\n{"correct": true}', true],
    ['Is it {"correct": false}?</think>```json\n{"correct": true}\n```', true],
    ['{"reason": "it says </think>{}", "correct": false}', false],
    ['<think>{"correct": true}', undefined],
    ['<think>a</think>b</think>{"correct": true}', undefined],
    ['```json {"correct": true} ```', true],
    ['```{"correct": true}```', true],
    ['```json\n{"correct": true}\n``` and more', undefined],
    ['The candidate says {"correct": true}', undefined],
    ['{"correct": true} {"correct": false}', undefined],
    ['{"correct": 1}', undefined],
    ['[true]', undefined],
    ['true', undefined],
    ['', undefined],
  ])('%j: %s', (reply, correct) => {
    expect(parseVerdict(reply)?.correct).toBe(correct)
  })
})

describe('options', () => {
  refuses(open, [
    [
      { baseURL: 'localhost' },
      "judge.baseURL: must be an address that begins with http:// or https://, got 'localhost'",
    ],
    [
      { baseURL: 'https://me:pass@host/v1' },
      'judge.baseURL: must be without user name and password (apiKeyVariable is for keys), got one with them',
    ],
    [{ model: '' }, "judge.model: must be text that is not empty, got ''"],
    [{ votes: 0 }, 'judge.votes: must be a whole number of at least 1, got 0'],
    [
      { apiKeyVariable: 'NO_SUCH_VARIABLE' },
      "judge.apiKeyVariable: must be the name of a variable that the environment has, got 'NO_SUCH_VARIABLE'",
    ],
    [{ apiKey: 5 }, 'judge.apiKey: must be text, got a number'],
    [{ temperature: -1 }, 'judge.temperature: must be a number of at least 0 or null, got -1'],
    [{ timeout: -1 }, 'judge.timeout: must be greater than 0 and at most 2147483647, got -1'],
    [{ minimumDelay: -1 }, 'judge.minimumDelay: must be 0 to 2147483647, got -1'],
    [{ cache: 'disk' }, `judge.cache: must be "memory", false or an object, got 'disk'`],
    [{ vote: 3 }, 'judge.vote: must be left out (there is no such option; did you mean votes?), got 3'],
  ])
})
