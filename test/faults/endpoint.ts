// An endpoint that hangs, resets, lies or drips: a judge and an evaluated model give what they would have given, or say why not, in time.
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Random } from '../../lib/core/random.js'
import { ChatEndpoint } from '../../lib/evaluation/chat-endpoint.js'
import { HdpoError, llmJudge, type Rollout } from '../../lib/index.js'
import { Ungraded } from '../../lib/rewards/ungraded.js'
import { type Fault, identical, type Laboratory, refused, type Verdict, wrong } from './campaign.js'

const timeout = 400
const retry = { timeout, retries: 2, minimumDelay: 1, maximumDelay: 5 }

const reply = (content: string) =>
  JSON.stringify({
    choices: [{ message: { role: 'assistant', content }, finish_reason: 'stop' }],
    usage: { prompt_tokens: 1, completion_tokens: 1 },
  })

const head = { 'content-type': 'application/json' }

/** What the endpoint does instead of answering. Connections that stay open are closed when it is stopped. */
const misdeeds: Record<string, (response: ServerResponse, socket: Socket, body: string) => void> = {
  'accepts and never answers': () => {},
  'resets at once': (_, socket) => void socket.resetAndDestroy(),
  'sends headers and stops': (response) => response.writeHead(200, head).flushHeaders(),
  'sends half of the body and stops': (response, _, body) =>
    void response.writeHead(200, { ...head, 'content-length': body.length }).write(body.slice(0, 20)),
  'resets in the middle of the body': (response, socket, body) => {
    response.writeHead(200, { ...head, 'content-length': body.length }).write(body.slice(0, 20))
    setTimeout(() => socket.resetAndDestroy(), 20)
  },
  'drips a byte every 50 ms': (response, _, body) => {
    response.writeHead(200, { ...head, 'content-length': body.length + 1000 })
    let at = 0
    const timer = setInterval(() => response.write(at < body.length ? (body[at++] as string) : ' '), 50)
    response.on('close', () => clearInterval(timer))
  },
  'answers with HTML': (response) => void response.writeHead(200).end('<html>Bad Gateway</html>'),
  'answers with half of the JSON': (response, _, body) =>
    void response.writeHead(200, head).end(body.slice(0, 40)),
  'answers nothing': (response) => void response.writeHead(200, head).end(),
  'is overloaded': (response) => void response.writeHead(503).end('overloaded'),
  'says no HTTP': (_, socket) => void socket.end('SSH-2.0-OpenSSH_9.6\r\n'),
}

export const endpoints: Fault[] = [
  { name: 'endpoint misbehaves: judge', tries: 44, attempt: judge },
  { name: 'endpoint misbehaves: evaluated model', tries: 44, attempt: model },
]

interface Misbehaving {
  baseURL: string
  stop(): Promise<void>
}

/** Misbehaves for the first `times` requests, and answers then. */
async function misbehave(
  index: number,
  times: number,
  content: string,
): Promise<Misbehaving & { how: string }> {
  const [how, misdeed] = Object.entries(misdeeds)[index % Object.keys(misdeeds).length] as [string, never]
  let requests = 0
  const server: Server = createServer((request, response) => {
    request.resume().on('end', () => {
      const body = reply(content)
      if (requests++ < times) (misdeed as (typeof misdeeds)[string])(response, request.socket, body)
      else response.writeHead(200, head).end(body)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    how,
    baseURL: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    stop: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** Some recover within the retries, some never do. */
const timesOf = (random: Random) => random.pick([1, 2, 1000])

// Three attempts and the waits between them, on a busy machine.
const longest = 3 * timeout + 5000

async function judge(_laboratory: Laboratory, random: Random, index: number): Promise<Verdict> {
  const times = timesOf(random)
  const endpoint = await misbehave(
    index,
    times,
    JSON.stringify({ reason: 'as the reference says', correct: true }),
  )
  const { baseURL } = endpoint
  const reward = llmJudge({ baseURL, model: 'judge', apiKey: 'none', cache: false, ...retry })
  const rollout = { id: 'rollout', taskId: 'task', finalAnswer: 'Lima' } as Rollout
  const task = {
    id: 'task',
    messages: [{ role: 'user' as const, content: 'Capital of Peru?' }],
    answer: 'Lima',
  }
  return inTime(endpoint, async () => {
    const score = await reward(rollout, task)
    if (score instanceof Ungraded) return refusedAfter(times, score.reason)
    return score === true ? identical : wrong(`${endpoint.how}: the score was ${String(score)}`)
  })
}

async function model(_laboratory: Laboratory, random: Random, index: number): Promise<Verdict> {
  const times = timesOf(random)
  const endpoint = await misbehave(index, times, 'Lima')
  const { baseURL } = endpoint
  const client = new ChatEndpoint({ baseURL, model: 'model', retry })
  return inTime(endpoint, async () => {
    try {
      const { content } = await client.complete([{ role: 'user', content: 'Capital of Peru?' }], [], 'none')
      return content === 'Lima' ? identical : wrong(`${endpoint.how}: the answer was ${content}`)
    } catch (error) {
      if (error instanceof HdpoError && error.code === 'ERR_HTTP') return refusedAfter(times, error.message)
      return wrong(`${endpoint.how}: ${error instanceof Error ? error.stack : String(error)}`)
    }
  })
}

/** Attempts that the retries cover must not be given up. */
function refusedAfter(times: number, why: string): Verdict {
  return times > retry.retries
    ? refused(why)
    : wrong(`given up after ${times} bad answers of ${retry.retries + 1}: ${why}`)
}

async function inTime(
  endpoint: Misbehaving & { how: string },
  ask: () => Promise<Verdict>,
): Promise<Verdict> {
  const begun = performance.now()
  const timer = setTimeout(() => void endpoint.stop(), 2 * longest)
  try {
    const verdict = await ask()
    const took = performance.now() - begun
    return took > longest ? wrong(`${endpoint.how}: took ${took.toFixed(0)} ms`) : verdict
  } finally {
    clearTimeout(timer)
    await endpoint.stop()
  }
}
