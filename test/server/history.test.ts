// How the requests of a rollout become token sequences.
import { describe, expect, it } from 'vitest'
import { tokenSequences } from '../../lib/rollout/token-sequences.js'
import type { Rollout } from '../../lib/rollout/types.js'
import { assistantKey } from '../../lib/server/chat-message.js'
import { call, lookupScript, lookupTool, post, serve } from './conversations.js'
import { tokenizer } from './served-policy.js'

interface Message {
  role: string
  content: string | null
  tool_calls?: { id: string; type: 'function'; function: { name: string; arguments: string } }[] | undefined
  tool_call_id?: string
}

const user = (content: string): Message => ({ role: 'user', content })

/** Sends messages in a rollout and returns the reply. */
function talker(baseURL: string, apiKey: string, more: object = {}) {
  return async (messages: Message[], body: object = {}): Promise<Message> => {
    const { status, json } = await post(
      `${baseURL}/chat/completions`,
      { model: 'policy', messages, tools: [lookupTool], ...more, ...body },
      { authorization: `Bearer ${apiKey}` },
    )
    expect(json).toMatchObject(status === 200 ? { object: 'chat.completion' } : {})
    if (status !== 200) throw new Error(`${status}: ${JSON.stringify(json)}`)
    return json.choices[0].message
  }
}

const resultOf = (reply: Message, content: string): Message => ({
  role: 'tool',
  content,
  tool_call_id: reply.tool_calls?.[0]?.id as string,
})

const trained = ({ tokens, mask }: Pick<Rollout, 'tokens' | 'mask'>) =>
  tokenizer.decode(tokens.filter((_, index) => mask[index] === 1))

describe('a history that goes on', () => {
  const rewritings: [string, (reply: Message) => Message][] = [
    ['as it was', (reply) => reply],
    [
      'with arguments printed anew, keys in another order',
      (reply) => ({
        ...reply,
        tool_calls: reply.tool_calls?.map((made) => {
          const { query, limit } = JSON.parse(made.function.arguments)
          return {
            ...made,
            function: { ...made.function, arguments: JSON.stringify({ limit, query }, null, 2) },
          }
        }),
      }),
    ],
    ['with white space trimmed and added', (reply) => ({ ...reply, content: ` ${reply.content}\n` })],
    ['as text parts', (reply) => ({ ...reply, content: [{ type: 'text', text: reply.content }] as never })],
    [
      'with the nulls of a response',
      (reply) => ({ ...reply, refusal: null, annotations: [], audio: null }) as Message,
    ],
  ]

  it.each(rewritings)('continues the sequence where it comes %s', async (_, rewrite) => {
    const { rollout, policy } = await serve(lookupScript)
    const { baseURL, apiKey, finish } = rollout()
    const say = talker(baseURL, apiKey)
    const first = rewrite(await say([user('Capital?')]))
    await say([user('Capital?'), first, resultOf(first, 'Lima')])
    const played = await finish({ correct: true })
    expect(tokenSequences(played)).toHaveLength(1)
    // The text is what the policy wrote, not what the client sent back.
    expect(trained(played)).toBe(
      `I look it up.\n${call('lookup', { query: 'capital', limit: 2 })}<|end|>It is Lima.<|end|>`,
    )
    expect(policy.created).toHaveLength(1)
    expect(policy.live).toBe(1)
  })

  it('continues where ids of calls are the client’s own', async () => {
    const { rollout } = await serve(lookupScript)
    const { baseURL, apiKey, finish } = rollout()
    const say = talker(baseURL, apiKey)
    const first = await say([user('Capital?')])
    const renamed = { ...first, tool_calls: first.tool_calls?.map((made) => ({ ...made, id: 'abc123' })) }
    await say([user('Capital?'), renamed, resultOf(renamed, 'Lima')])
    expect(tokenSequences(await finish({ correct: true }))).toHaveLength(1)
  })

  it('ends a turn that was cut before more follows', async () => {
    const { rollout } = await serve((conversation) =>
      conversation.includes('more') ? 'rest<|end|>' : 'abcdef<|end|>',
    )
    const { baseURL, apiKey, finish } = rollout()
    const say = talker(baseURL, apiKey)
    const first = await say([user('a')], { max_tokens: 3 })
    await say([user('a'), first, user('more')])
    const played = await finish({ correct: true })
    expect(tokenizer.decode(played.tokens)).toContain(
      'assistant: abc<|end|>\nuser: more\nassistant: rest<|end|>',
    )
    expect(trained(played)).toBe('abcrest<|end|>')
  })
})

describe('a history that does not go on', () => {
  it('begins another sequence where it was rewritten', async () => {
    const { rollout, server } = await serve(lookupScript)
    const { baseURL, apiKey, finish } = rollout()
    const say = talker(baseURL, apiKey)
    const first = await say([user('Capital?')])
    await say([user('Summary: the capital was asked for.'), first, resultOf(first, 'Lima')])
    const played = await finish({ correct: true })
    const sequences = tokenSequences(played)
    expect(sequences).toHaveLength(2)
    // The last turn's sequence comes first; the reply that it carries as history is not trained in it.
    expect(sequences.map(trained)).toEqual([
      'It is Lima.<|end|>',
      `I look it up.\n${call('lookup', { query: 'capital', limit: 2 })}<|end|>`,
    ])
    expect(played.turns).toBe(2)
    expect(played.toolCalls).toHaveLength(1)
    expect(server.metrics()).toMatchObject({
      segments: 2,
      splitRollouts: 1,
      rewrittenSegments: 1,
      branchedSegments: 0,
    })
  })

  it('begins another where the tools are others', async () => {
    const { rollout, server } = await serve(lookupScript)
    const { baseURL, apiKey, finish } = rollout()
    const say = talker(baseURL, apiKey)
    const first = await say([user('Capital?')])
    const other = { ...lookupTool, function: { ...lookupTool.function, name: 'find' } }
    await say([user('Capital?'), first, resultOf(first, 'Lima')], { tools: [other] })
    expect(tokenSequences(await finish({ correct: true }))).toHaveLength(2)
    expect(server.metrics().rewrittenSegments).toBe(1)
  })

  it('branches from where two continuations part, and trains the shared part once', async () => {
    const { rollout, server } = await serve(lookupScript)
    const { baseURL, apiKey, finish } = rollout()
    const say = talker(baseURL, apiKey)
    const first = await say([user('Capital?')])
    await say([user('Capital?'), first, resultOf(first, 'Lima')])
    await say([user('Capital?'), first, resultOf(first, 'Quito')])
    const sequences = tokenSequences(await finish({ correct: true }))
    expect(sequences.map(trained)).toEqual([
      'It is Quito.<|end|>',
      `I look it up.\n${call('lookup', { query: 'capital', limit: 2 })}<|end|>It is Lima.<|end|>`,
    ])
    // The history is token for token what the policy sampled, and is not trained again.
    expect(tokenizer.decode(sequences[0]?.tokens ?? [])).toContain(
      `I look it up.\n${call('lookup', { query: 'capital', limit: 2 })}<|end|>\ntool: Quito`,
    )
    expect(server.metrics()).toMatchObject({ segments: 2, branchedSegments: 1, rewrittenSegments: 0 })
  })

  it('branches concurrent requests with one history, and n choices', async () => {
    const { rollout, server, policy } = await serve((_conversation, { seed }) => `${seed}<|end|>`)
    const { baseURL, apiKey, finish } = rollout({ sampling: { seed: 9 } })
    const say = talker(baseURL, apiKey)
    const replies = await Promise.all([say([user('a')]), say([user('a')]), say([user('a')])])
    expect(new Set(replies.map(({ content }) => content)).size).toBe(3)
    const [, second] = replies as [Message, Message, Message]
    await say([user('a'), second, user('b')], { n: 2 })
    const played = await finish({ correct: true })
    expect(tokenSequences(played)).toHaveLength(4)
    expect(played.turns).toBe(5)
    expect(server.metrics()).toMatchObject({ segments: 4, branchedSegments: 3, splitRollouts: 1 })
    // One prompt was computed and forked for the three that begin with it; one branch was made from tokens.
    expect(policy.created).toHaveLength(2)
  })

  it('refuses an agent that never keeps its history', async () => {
    const { rollout } = await serve(() => 'x<|end|>')
    const { baseURL, apiKey } = rollout()
    const say = talker(baseURL, apiKey)
    for (let index = 0; index < 128; index++) await say([user(`question ${index}`)])
    await expect(say([user('one more')])).rejects.toThrow('too_many_segments')
  })
})

it('keeps 64 rollouts apart that run at once', async () => {
  const { rollout, policy, server } = await serve(async (conversation, options) => {
    await new Promise((resolve) => setTimeout(resolve, (options.seed ?? 0) % 7))
    return lookupScript(conversation, options)
  })
  const play = async (index: number) => {
    const { baseURL, apiKey, finish } = rollout({ id: `rollout-${index}`, sampling: { seed: index } })
    const say = talker(baseURL, apiKey)
    const question = user(`Capital of ${index % 4}?`)
    const first = await say([question])
    await say([question, first, resultOf(first, `city ${index}`)])
    return finish({ reward: 0.5 })
  }
  const rollouts = await Promise.all(Array.from({ length: 64 }, (_, index) => play(index)))
  for (const [index, played] of rollouts.entries()) {
    expect(played.id).toBe(`rollout-${index}`)
    expect(tokenSequences(played)).toHaveLength(1)
    expect(trained(played)).toMatch(new RegExp(`It is city ${index}\\.<\\|end\\|>$`))
  }
  // Each of the four questions was computed once.
  expect(policy.created).toHaveLength(4)
  expect(policy.live).toBe(4)
  expect(server.metrics()).toMatchObject({
    liveRollouts: 0,
    finishedRollouts: 64,
    segments: 64,
    controlTokensInText: 0,
    splitRollouts: 0,
  })
})

it('takes a request that failed and came again for one', async () => {
  let fail = true
  const { rollout, server } = await serve(() => {
    if (fail) throw new Error('not now')
    return 'x<|end|>'
  })
  const { baseURL, apiKey, finish } = rollout()
  const say = talker(baseURL, apiKey)
  await expect(say([user('?')])).rejects.toThrow('500')
  fail = false
  await say([user('?')])
  expect(tokenSequences(await finish({ correct: true }))).toHaveLength(1)
  expect(server.metrics()).toMatchObject({
    segments: 1,
    branchedSegments: 0,
    controlTokensInText: 0,
    splitRollouts: 0,
    discardedTurns: 1,
  })
})

describe('thoughts that a client keeps apart', () => {
  const thinking = (conversation: string) =>
    conversation.includes('tool: ')
      ? '<think>I know.</think>\n\nSunny.<|end|>'
      : `<think>I ask.</think>\n\n${call('lookup', { query: 'q' })}<|end|>`
  type Rewriting = (reply: Message) => object
  it.each<[string, Rewriting]>([
    ['in the content', (reply) => reply],
    ['without the opening tag', (reply) => ({ ...reply, content: 'I ask.</think>' })],
    ['as reasoning_content', (reply) => ({ ...reply, content: null, reasoning_content: 'I ask.' })],
    ['as reasoning', (reply) => ({ ...reply, content: '', reasoning: ' I ask.\n' })],
    ['in both', (reply) => ({ ...reply, reasoning_content: 'I ask.' })],
    [
      'as reasoning_details',
      (reply) => ({ ...reply, content: '', reasoning_details: [{ type: 'reasoning.text', text: 'I ask.' }] }),
    ],
    [
      'as a thinking part',
      (reply) => ({
        ...reply,
        content: [{ type: 'thinking', thinking: [{ type: 'text', text: 'I ask.' }] }],
      }),
    ],
  ])('continue the sequence %s', async (_, rewrite) => {
    const { rollout } = await serve(thinking)
    const { baseURL, apiKey, finish } = rollout()
    const say = talker(baseURL, apiKey)
    const reply = await say([user('Weather?')])
    const last = await say([user('Weather?'), rewrite(reply) as Message, resultOf(reply, 'sunny')])
    expect(last.content).toBe('<think>I know.</think>Sunny.')
    expect(tokenSequences(await finish({ correct: true }))).toHaveLength(1)
  })

  it('do not continue it where they are others', async () => {
    const { rollout } = await serve(thinking)
    const { baseURL, apiKey, finish } = rollout()
    const say = talker(baseURL, apiKey)
    const reply = await say([user('Weather?')])
    const other = { ...reply, content: '', reasoning_content: 'I guess.' }
    await say([user('Weather?'), other, resultOf(reply, 'sunny')])
    expect(tokenSequences(await finish({ correct: true }))).toHaveLength(2)
  })

  it('have the same key where a thought was cut off, wherever it stands', () => {
    expect(assistantKey('', [], 'I think and')).toBe(assistantKey('<think>I think and', []))
    expect(assistantKey('I think and', [])).toBe(assistantKey('<think>\nI think and', []))
    expect(assistantKey('a', [], 'b')).not.toBe(assistantKey('b', [], 'a'))
  })

  it.each([true, false])(
    'are counted, and warned of once, where the template writes none: %s',
    async (writesThoughts) => {
      const { rollout, policy, server, warnings } = await serve(thinking)
      policy.template = Object.create(policy.template, { writesThoughts: { value: writesThoughts } })
      const { baseURL, apiKey, finish } = rollout()
      const say = talker(baseURL, apiKey)
      const foreign = { role: 'assistant', content: 'Hello.', reasoning_content: 'Greet.' } as Message
      const first = [user('Hi'), foreign, user('Weather?')]
      const reply = await say(first)
      await say([
        ...first,
        { ...reply, content: '', reasoning_content: 'I ask.' } as Message,
        resultOf(reply, 'sunny'),
      ])
      await finish({ correct: true })
      const dropped = writesThoughts ? 0 : 1
      expect(server.metrics()).toMatchObject({ droppedThoughts: dropped, segments: 1 })
      expect(warnings.filter((warning) => warning.includes('reasoning_content'))).toHaveLength(dropped)
    },
  )
})

describe('what a rollout counts', () => {
  it('counts calls that could not be read and tools that nobody offered', async () => {
    const { rollout } = await serve((conversation) =>
      conversation.includes('tool:') ? '<answer>1</answer><|end|>' : `${call('other')}<tool_call>no<|end|>`,
    )
    const { baseURL, apiKey, finish } = rollout()
    const say = talker(baseURL, apiKey)
    const first = await say([user('?')])
    expect(first.content).toBe('<tool_call>no')
    await say([user('?'), first, resultOf(first, 'no such tool')])
    const played = await finish({ correct: false })
    expect(played.toolCalls.map(({ name, outcome, observation }) => [name, outcome, observation])).toEqual([
      ['other', 'unknown-tool', 'no such tool'],
      ['', 'malformed', ''],
    ])
    expect(played).toMatchObject({ finalAnswer: '1', wellFormed: false, end: 'answer' })
  })

  it('calls nothing where its tools are off, whatever the requests say', async () => {
    const { rollout } = await serve(() => 'no idea<|end|>')
    const { baseURL, apiKey, finish } = rollout({ toolChoice: 'none' })
    await talker(baseURL, apiKey)([user('?')], { tool_choice: 'required' })
    expect((await finish({ correct: false })).toolCalls).toEqual([])
  })

  it('samples as its trainer says, not as its agent asks, and tells so once', async () => {
    const { rollout, policy, warnings } = await serve(() => 'x<|end|>')
    const { baseURL, apiKey } = rollout({ sampling: { temperature: 1, seed: 3 } })
    const say = talker(baseURL, apiKey)
    await say([user('?')], { temperature: 0, seed: 42 })
    await say([user('!')], { temperature: 0 })
    expect(policy.samplings[0]).toMatchObject({ temperature: 1, seed: 3 })
    expect(warnings).toEqual([
      'an agent asks for temperature 0, but its rollouts are sampled with 1, as training takes them to be',
      'an agent asks for seed 42, but its rollouts are sampled with 3, as training takes them to be',
    ])
  })

  it('keeps within its tokens', async () => {
    const { rollout } = await serve(() => 'abcdefghij<|end|>')
    const { baseURL, apiKey, finish } = rollout({ maxTokens: 20, maxTurnTokens: 4 })
    const say = talker(baseURL, apiKey)
    const first = await say([user('?')])
    expect(first.content).toBe('abcd')
    await expect(say([user('?'), first, user('a question longer than what is left')])).rejects.toThrow(
      'context_length_exceeded',
    )
    expect(await finish({ correct: false })).toMatchObject({ end: 'tokens', turns: 1 })
  })
})
