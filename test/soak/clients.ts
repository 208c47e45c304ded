// The clients of a soak, in a process of their own, so that the server's memory is measured alone. The parent sends a Work; the answer
// is what came of it.
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Random } from '../../lib/core/random.js'
import type { Work, WorkDone } from './client-work.js'

/** Rollouts that one client after the other plays in its own way; the names are those of the table. */
const behaviours: Record<string, (client: Client) => Promise<void>> = {
  'finish after some turns': playToTheEnd,
  'stream a reply whole': (client) =>
    client.inRollout((rollout) => client.stream(rollout, Number.POSITIVE_INFINITY)),
  'stream and disconnect': (client) =>
    client.inRollout((rollout) => client.stream(rollout, 2), 'finish early'),
  'abort a request': (client) => client.inRollout((rollout) => client.abort(rollout), 'finish early'),
  abandon: (client) => client.inRollout((rollout) => client.say(rollout, 1), 'abandon'),
  'leave without a word': (client) => client.inRollout((rollout) => client.say(rollout, 1), 'leave'),
  'send garbage': sendGarbage,
  'stop in the middle of a request': breakOff,
  'ask outside of a rollout': (client) => client.say(undefined, 4),
}

/** Status codes, or what the answer has in it. */
type Expected = readonly (number | string)[]

interface StartedRollout {
  id: string
  apiKey: string
}

class Client {
  readonly unexpected: string[] = []

  constructor(
    readonly url: string,
    readonly random: Random,
  ) {}

  async post(path: string, body: unknown, expected: Expected, key?: string): Promise<unknown> {
    const response = await fetch(`${this.url}${path}`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(key !== undefined && { authorization: `Bearer ${key}` }),
      },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    })
    const text = await response.text()
    if (
      !expected.some((each) => each === response.status || (typeof each === 'string' && text.includes(each)))
    )
      this.unexpected.push(`${path} answered ${response.status}: ${text.slice(0, 200)}`)
    return response.ok ? JSON.parse(text) : undefined
  }

  async inRollout(
    play: (rollout: StartedRollout) => Promise<void>,
    end: 'finish' | 'finish early' | 'abandon' | 'leave' = 'finish',
  ): Promise<void> {
    const task = `task-${this.random.integer(0, 9)}`
    const rollout = (await this.post('/hdpo/rollouts', { task }, [201])) as StartedRollout
    await play(rollout)
    if (end === 'leave') return
    const outcome = end === 'abandon' ? {} : { correct: this.random.next() < 0.5 }
    // A reply that nobody waited for is no completion.
    const expected = end === 'finish early' ? [200, 'ERR_NO_COMPLETION'] : [200]
    const route = end === 'abandon' ? 'abandon' : 'finish'
    await this.post(`/hdpo/rollouts/${rollout.id}/${route}`, outcome, expected, rollout.apiKey)
  }

  body(more: object = {}): object {
    const words = Array.from({ length: this.random.integer(1, 12) }, () => this.random.pick(vocabulary))
    return {
      model: 'policy',
      messages: [{ role: 'user', content: words.join(' ') }],
      max_tokens: 12,
      ...more,
    }
  }

  async say(rollout: StartedRollout | undefined, choices: number): Promise<void> {
    await this.post('/v1/chat/completions', this.body({ n: choices }), [200], rollout?.apiKey)
  }

  /** Reads that many pieces, and goes away. */
  async stream(rollout: StartedRollout, pieces: number): Promise<void> {
    const leaving = new AbortController()
    const response = await fetch(`${this.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${rollout.apiKey}` },
      body: JSON.stringify(this.body({ stream: true, max_tokens: 40 })),
      signal: leaving.signal,
    })
    if (response.status !== 200) this.unexpected.push(`a stream answered ${response.status}`)
    let read = 0
    for await (const _ of response.body as ReadableStream<Uint8Array>) if (++read >= pieces) break
    leaving.abort()
  }

  async abort(rollout: StartedRollout): Promise<void> {
    const leaving = new AbortController()
    const asked = fetch(`${this.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${rollout.apiKey}` },
      body: JSON.stringify(this.body({ max_tokens: 200, n: 4 })),
      signal: leaving.signal,
    }).then((response) => response.text())
    await sleep(this.random.integer(0, 30))
    leaving.abort()
    await asked.catch((error: Error) => {
      if (error.name !== 'AbortError') throw error
    })
  }
}

const vocabulary = [
  'capital',
  'of',
  'Peru',
  'area',
  'Kenya',
  'how',
  'many',
  '17',
  '*',
  '23',
  '?',
  '<tool_call>',
  'é',
  '🙂',
]

async function playToTheEnd(client: Client): Promise<void> {
  await client.inRollout(async (rollout) => {
    const messages: object[] = [{ role: 'user', content: client.random.pick(vocabulary) }]
    for (let turn = client.random.integer(1, 3); turn > 0; turn--) {
      const body = client.body({ messages, tools: [lookup] })
      const reply = (await client.post('/v1/chat/completions', body, [200], rollout.apiKey)) as
        | Reply
        | undefined
      const message = reply?.choices[0]?.message
      if (!message) return
      messages.push(message)
      for (const { id } of message.tool_calls ?? [])
        messages.push({ role: 'tool', tool_call_id: id, content: 'Lima' })
      messages.push({ role: 'user', content: 'and then?' })
    }
  })
}

const lookup = {
  type: 'function',
  function: { name: 'lookup', description: 'Looks it up', parameters: { type: 'object', properties: {} } },
}

interface Reply {
  choices: { message: { tool_calls?: { id: string }[] } }[]
}

async function sendGarbage(client: Client): Promise<void> {
  const bodies = [
    '',
    '{',
    'null',
    '[]',
    '"x"',
    '{"model":7}',
    '{"model":"policy","messages":[{}]}',
    '\u0000\uffff',
    '['.repeat(5000),
  ]
  const paths = [
    '/v1/chat/completions',
    '/hdpo/rollouts',
    '/hdpo/rollouts/nobody/finish',
    '/nowhere',
    '/v1/models/%2e',
  ]
  await client.post(client.random.pick(paths), client.random.pick(bodies), [400, 401, 404, 405, 409, 422])
}

/** A request that says it is longer than it is, and a connection that breaks off after a while. */
async function breakOff(client: Client): Promise<void> {
  const { hostname, port } = new URL(client.url)
  const socket = connect(Number(port), hostname)
  socket.on('error', () => {}) // It may be reset from the other side as well.
  socket.write(
    `POST /v1/chat/completions HTTP/1.1\r\nhost: ${hostname}\r\ncontent-length: 5000\r\n\r\n{"model":`,
  )
  await sleep(client.random.integer(0, 100))
  socket.destroy()
}

/** All behaviours in turn, some at once. */
async function work({ url, seed, first, rollouts, atOnce }: Work): Promise<WorkDone> {
  const names = Object.keys(behaviours)
  const played: Record<string, number> = {}
  const unexpected: string[] = []
  let next = first
  const play = async () => {
    while (next < first + rollouts) {
      const index = next++
      const name = names[index % names.length] as string
      const client = new Client(url, new Random(seed, `client ${index}`))
      try {
        await behaviours[name]?.(client)
      } catch (error) {
        client.unexpected.push(String((error as Error).stack))
      }
      played[name] = (played[name] ?? 0) + 1
      unexpected.push(...client.unexpected.map((what) => `${name} (${index}): ${what}`))
    }
  }
  await Promise.all(Array.from({ length: atOnce }, play))
  return { played, unexpected: unexpected.slice(0, 20), unexpectedCount: unexpected.length }
}

process.on('message', async (message: Work) => process.send?.(await work(message)))
