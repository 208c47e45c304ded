// A model behind a chat API: our own server over a scripted policy, and an endpoint that misbehaves.
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ChatEndpoint } from '../../lib/evaluation/chat-endpoint.js'
import { endpointRollout } from '../../lib/evaluation/endpoint-rollout.js'
import type { Task } from '../../lib/rollout/types.js'
import type { Tool } from '../../lib/tools/types.js'
import { refuses } from '../core/wrong-options.js'
import { MisbehavingEndpoint, send } from '../rewards/misbehaving-endpoint.js'
import { call, serve } from '../server/conversations.js'
import type { Script } from '../server/served-policy.js'

const task: Task = {
  id: 'capital',
  messages: [{ role: 'user', content: 'Capital of France?' }],
  answer: 'Paris',
}

const asked: unknown[] = []
const search: Tool = {
  name: 'search',
  description: 'Looks it up',
  parameters: { type: 'object', properties: { query: { type: 'string' } } },
  validate: (input) => input,
  run: (input) => {
    asked.push(input)
    return 'France: capital Paris'
  },
}

const searching: Script = (conversation) =>
  conversation.includes('France: capital Paris')
    ? 'Found. <answer>Paris</answer><|end|>'
    : `${call('search', { query: 'France capital' })}<|end|>`

const play = (endpoint: ChatEndpoint, more: Partial<Parameters<typeof endpointRollout>[0]> = {}) =>
  endpointRollout({
    endpoint,
    task,
    tools: [search],
    id: 'capital#0',
    rollout: {},
    signal: new AbortController().signal,
    ...more,
  })

const retry = { retries: 1, minimumDelay: 1, maximumDelay: 2 }

describe('endpointRollout', () => {
  it('runs the tools that the model asks for here, and tells it what they found', async () => {
    asked.length = 0
    const { url } = await serve(searching)
    const rollout = await play(new ChatEndpoint({ baseURL: `${url}/v1`, model: 'policy' }))
    expect(rollout).toMatchObject({
      id: 'capital#0',
      taskId: 'capital',
      finalAnswer: 'Paris',
      wellFormed: true,
      end: 'answer',
      turns: 2,
      toolCalls: [{ name: 'search', outcome: 'ok', observation: 'France: capital Paris', cost: 1 }],
    })
    expect(asked).toEqual([{ query: 'France capital' }])
    expect(rollout.messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'tool', 'assistant'])
    expect(rollout.usage.promptTokens).toBeGreaterThan(0)
    expect(rollout.usage.completionTokens).toBeGreaterThan(0)
    expect(rollout.latencySeconds).toBeGreaterThan(0)
  })

  describe('with an endpoint that is strict about the history', () => {
    let endpoint: MisbehavingEndpoint
    beforeEach(async () => {
      endpoint = await MisbehavingEndpoint.start()
    })
    afterEach(() => endpoint.stop())
    const made = (id: unknown, args: unknown) => ({
      ...(id !== undefined && { id }),
      type: 'function',
      function: { name: 'search', arguments: args },
    })

    it.each<[string, object]>([
      ['a thought in a field of its own', { reasoning_content: 'Look.', tool_calls: [made('c', '{}')] }],
      [
        'an encrypted thought',
        { reasoning_details: [{ type: 'reasoning.encrypted', data: 'x' }], tool_calls: [made('c', '{}')] },
      ],
      [
        'thinking parts',
        { content: [{ type: 'thinking', thinking: 'Look.' }], tool_calls: [made('c', '{}')] },
      ],
      ['calls without ids', { tool_calls: [made(undefined, '{}'), made(null, '{}'), made('', '{}')] }],
      ['calls of one id', { tool_calls: [made('x', '{}'), made('x', '{}')] }],
      ['arguments as an object', { tool_calls: [made('x', { query: 'France' })] }],
    ])('sends %s back, and the results to their calls', async (_, message) => {
      let turn = 0
      endpoint.behave((response) => {
        const said =
          turn++ === 0 ? { content: null, ...message } : { content: [{ type: 'text', text: 'Paris' }] }
        send(response, 200, JSON.stringify({ choices: [{ message: { role: 'assistant', ...said } }] }))
      })
      const rollout = await play(new ChatEndpoint({ baseURL: endpoint.baseURL, model: 'm', retry }))
      expect(rollout).toMatchObject({ finalAnswer: 'Paris', end: 'answer' })
      const [, { messages }] = endpoint.requests.map(({ body }) => body) as [
        unknown,
        { messages: Record<string, unknown>[] },
      ]
      const [, back, ...results] = messages
      const { tool_calls: calls, ...fields } = back as {
        tool_calls: { id: string; function: { arguments: unknown } }[]
      }
      const { tool_calls: _calls, ...given } = { role: 'assistant', content: null, ...message } as Record<
        string,
        unknown
      >
      expect(fields).toEqual(given)
      expect(new Set(calls.map(({ id }) => id)).size).toBe(calls.length)
      expect(calls.every((one) => one.id !== '' && typeof one.function.arguments === 'string')).toBe(true)
      expect(results.map((result) => result.tool_call_id)).toEqual(calls.map(({ id }) => id))
    })
  })

  it("takes all of a plain reply for the answer, and 'none' for no calls", async () => {
    const { url } = await serve((_, { logitBias }) =>
      [...(logitBias?.values() ?? [])].includes(Number.NEGATIVE_INFINITY)
        ? ' Lyon \n<|end|>'
        : 'unexpected<|end|>',
    )
    const endpoint = new ChatEndpoint({ baseURL: `${url}/v1/`, model: 'policy' })
    const rollout = await play(endpoint, { rollout: { toolChoice: 'none' } })
    expect(rollout).toMatchObject({ finalAnswer: 'Lyon', wellFormed: true, toolCalls: [] })
  })

  it('stops after maxTurns, the last calls counted', async () => {
    const { url } = await serve(() => `${call('search', { query: 'again' })}<|end|>`)
    const endpoint = new ChatEndpoint({ baseURL: `${url}/v1`, model: 'policy' })
    const rollout = await play(endpoint, { rollout: { maxTurns: 3 } })
    expect(rollout).toMatchObject({ end: 'turns', turns: 3, finalAnswer: undefined, wellFormed: false })
    expect(rollout.toolCalls).toHaveLength(3)
  })
})

describe('an endpoint that misbehaves', () => {
  let broken: MisbehavingEndpoint
  beforeEach(async () => {
    broken = await MisbehavingEndpoint.start()
  })
  afterEach(() => broken.stop())

  const endpoint = (more = {}) => new ChatEndpoint({ baseURL: broken.baseURL, model: 'm', retry, ...more })
  const completion = (message: object, rest: object = {}) =>
    JSON.stringify({ choices: [{ message, finish_reason: 'stop', ...rest }] })

  it('sends key, model, tools and further fields', async () => {
    broken.behave((response) => send(response, 200, completion({ content: 'Paris' })))
    await play(endpoint({ key: 'k-123', body: { temperature: 0.2 } }), { system: 'Be brief.' })
    expect(broken.requests[0]).toMatchObject({
      path: '/v1/chat/completions',
      authorization: 'Bearer k-123',
      body: {
        model: 'm',
        temperature: 0.2,
        tool_choice: 'auto',
        tools: [{ type: 'function', function: { name: 'search' } }],
        messages: [
          { role: 'system', content: 'Be brief.' },
          { role: 'user', content: 'Capital of France?' },
        ],
      },
    })
  })

  it('answers the call by its id, whatever the tool made of it', async () => {
    const calls = [
      { id: 'a', type: 'function', function: { name: 'search', arguments: '{"query":' } },
      { id: 'b', type: 'function', function: { name: 'sing', arguments: '{}' } },
    ]
    broken.behave((response, _, index) =>
      send(
        response,
        200,
        completion(index === 0 ? { content: null, tool_calls: calls } : { content: 'no idea' }),
      ),
    )
    const rollout = await play(endpoint())
    expect(rollout.toolCalls.map(({ outcome }) => outcome)).toEqual(['malformed', 'unknown-tool'])
    expect(broken.requests[1]?.body.messages.slice(-2)).toMatchObject([
      { role: 'tool', tool_call_id: 'a', content: expect.stringContaining('Malformed tool call') },
      { role: 'tool', tool_call_id: 'b', content: 'There is no tool "sing". Tools: search' },
    ])
  })

  it('tries again, then leaves the rollout ungraded', async () => {
    broken.behave((response, _, index) =>
      index === 0 ? send(response, 503, 'busy') : send(response, 200, completion({ content: 'Paris' })),
    )
    expect(await play(endpoint())).toMatchObject({ finalAnswer: 'Paris' })
    broken.behave((response) => send(response, 503, 'busy'))
    const rollout = await play(endpoint())
    expect(rollout).toMatchObject({ end: 'aborted', finalAnswer: undefined })
    expect(rollout.failure).toBe('HTTP 503: busy (after 2 attempts)')
    broken.behave((response) => send(response, 200, '{"object": "list"}'))
    expect((await play(endpoint())).failure).toMatch(/^the endpoint sent no chat completion/)
    broken.behave((response) => send(response, 200, 'hello'))
    expect((await play(endpoint())).failure).toMatch(/^the endpoint sent no JSON/)
  })

  it('gives up at once where no request can succeed', async () => {
    broken.behave((response) => send(response, 401, 'wrong key'))
    await expect(play(endpoint())).rejects.toMatchObject({
      code: 'ERR_ENDPOINT',
      message: 'the endpoint refuses every request: HTTP 401: wrong key',
    })
    expect(broken.requests).toHaveLength(1)
  })

  it.each([
    ['no credit', 402, '{"error":{"message":"Insufficient Balance","code":"invalid_request_error"}}'],
    ['a quota that is used up', 429, '{"error":{"code":"insufficient_quota","message":"You exceeded"}}'],
    ['a limit of what may be spent', 400, '{"error":{"code":"billing_hard_limit_reached"}}'],
    ['an error in a good response', 200, '{"error":{"code":402,"message":"Insufficient credits"}}'],
  ])('gives up at once with %s', async (_, status, body) => {
    broken.behave((response) => send(response, status, body))
    await expect(play(endpoint())).rejects.toMatchObject({
      code: 'ERR_ENDPOINT',
      message: `the endpoint refuses every request: HTTP ${status === 200 ? 402 : status}: ${body}`,
    })
    expect(broken.requests).toHaveLength(1)
  })

  it('gives up where the quota runs out between attempts', async () => {
    broken.behave((response, _, index) =>
      index === 0 ? send(response, 503, 'busy') : send(response, 402, 'no credit'),
    )
    await expect(play(endpoint())).rejects.toMatchObject({
      code: 'ERR_ENDPOINT',
      message: 'the endpoint refuses every request: HTTP 402: no credit (after 2 attempts)',
    })
  })

  it('goes on where one text alone is refused, and where too much is asked at once', async () => {
    const flagged = '{"error":{"code":403,"message":"flagged","metadata":{"reasons":["violence"]}}}'
    broken.behave((response) => send(response, 403, flagged))
    expect((await play(endpoint())).failure).toBe(`HTTP 403: ${flagged}`)
    expect(broken.requests).toHaveLength(1)
    const slower = '{"error":{"code":"rate_limit_exceeded"}}'
    broken.behave((response, _, index) =>
      index === 0 ? send(response, 429, slower) : send(response, 200, completion({ content: 'Paris' })),
    )
    expect(await play(endpoint())).toMatchObject({ finalAnswer: 'Paris' })
  })

  refuses(
    (change) => new ChatEndpoint({ baseURL: 'http://host/v1', model: 'm', ...(change as object) }),
    [
      [
        { baseURL: 'localhost:8000' },
        "endpoint.baseURL: must be an address that begins with http:// or https://, got 'localhost:8000'",
      ],
      [{ model: '' }, "endpoint.model: must be text that is not empty, got ''"],
      [{ key: 12345 }, 'endpoint.key: must be text, got a number'],
      [{ retry: { retries: -1 } }, 'endpoint.retry.retries: must be a whole number of at least 0, got -1'],
    ],
  )

  it.each([
    ['<think>Six sevens.</think>\n\n42', '42'],
    ['\n<think><answer>41</answer>? No.</think>\n42 ', '42'],
    ['<think><answer>41</answer>? No.</think> So <answer>42</answer>.', '42'],
    ['Six sevens make 42.\n</think>\n\n42', '42'],
    ['Is it <answer>41</answer>? No.</think><answer>42</answer>', '42'],
    ['The tag <think> opens.</think>42', '42'],
    ['<think>Is it <answer>41</answer>?', undefined],
    ['<think>Hm.</think>\n', undefined],
    ['42', '42'],
  ])('a reply of %j answers %j', async (content, answer) => {
    broken.behave((response) => send(response, 200, completion({ content })))
    const rollout = await play(endpoint())
    expect(rollout).toMatchObject({ finalAnswer: answer, wellFormed: answer !== undefined })
    expect(rollout.messages.at(-1)?.content).toBe(content)
  })

  it('a reply that was cut off is no answer', async () => {
    broken.behave((response) =>
      send(response, 200, completion({ content: 'Par' }, { finish_reason: 'length' })),
    )
    expect(await play(endpoint())).toMatchObject({ end: 'tokens', finalAnswer: undefined, wellFormed: false })
  })
})
