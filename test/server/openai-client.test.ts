// The server as OpenAI's own client sees it.
import OpenAI from 'openai'
import { describe, expect, it } from 'vitest'
import { call, lookupScript, lookupTool, serve } from './conversations.js'
import { endOfTurn, tokenizer } from './served-policy.js'

const client = (baseURL: string, apiKey = 'unused') => new OpenAI({ baseURL, apiKey, maxRetries: 0 })
const user = (content: string) => ({ role: 'user' as const, content })

describe('chat completions', () => {
  it('answers, counts tokens, and gives the logprob of every sampled token', async () => {
    const { url, policy } = await serve(() => 'Paris.<|end|>')
    const response = await client(`${url}/v1`).chat.completions.create({
      model: 'policy',
      messages: [{ role: 'system', content: 'Be brief.' }, user('Capital of France?')],
      logprobs: true,
      temperature: 0.5,
      top_p: 0.9,
      seed: 7,
      logit_bias: { 65: -100, 66: 5 },
    })
    expect(response).toMatchObject({
      object: 'chat.completion',
      model: 'policy',
      choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: 'Paris.' } }],
    })
    const prompt = policy.created[0] as number
    expect(response.usage).toMatchObject({
      prompt_tokens: prompt,
      completion_tokens: 7,
      total_tokens: prompt + 7,
    })
    expect(response.choices[0]?.logprobs?.content?.map(({ token }) => token)).toEqual([
      ...'Paris.',
      '<|end|>',
    ])
    expect(policy.samplings[0]).toMatchObject({
      temperature: 0.5,
      topP: 0.9,
      seed: 7,
      stopTokens: [endOfTurn],
    })
    expect([...(policy.samplings[0]?.logitBias ?? [])]).toEqual([
      [65, Number.NEGATIVE_INFINITY],
      [66, 5],
      [tokenizer.tokenId('<tool_call>'), Number.NEGATIVE_INFINITY],
    ])
  })

  it('gives calls apart from the content, and reads their results in the order of the calls', async () => {
    const said: string[] = []
    const { url } = await serve((conversation) => {
      said.push(conversation)
      return conversation.includes('tool:')
        ? 'done<|end|>'
        : `Both.\n${call('lookup', { query: 'a' })}\n${call('lookup', { query: 'b' })}<|end|>`
    })
    const openai = client(`${url}/v1`)
    const first = await openai.chat.completions.create({
      model: 'policy',
      messages: [user('?')],
      tools: [lookupTool],
    })
    const message = first.choices[0]?.message as OpenAI.ChatCompletionMessage
    expect(first.choices[0]?.finish_reason).toBe('tool_calls')
    expect(message.content).toBe('Both.')
    const calls = message.tool_calls as OpenAI.ChatCompletionMessageFunctionToolCall[]
    expect(calls.map((made) => [made.type, made.function.name, JSON.parse(made.function.arguments)])).toEqual(
      [
        ['function', 'lookup', { query: 'a' }],
        ['function', 'lookup', { query: 'b' }],
      ],
    )
    expect(new Set(calls.map(({ id }) => id)).size).toBe(2)
    const results = calls.map(({ id }, index) => ({
      role: 'tool' as const,
      tool_call_id: id,
      content: `result ${index}`,
    }))
    await openai.chat.completions.create({
      model: 'policy',
      messages: [user('?'), message, ...results.reverse()],
      tools: [lookupTool],
    })
    expect(said.at(-1)).toMatch(/tool: result 0\ntool: result 1\nassistant: $/)
  })

  it('leaves a malformed call in the text', async () => {
    const text = '<tool_call>{"name": </tool_call> oops'
    const { url } = await serve(() => `${text}<|end|>`)
    const response = await client(`${url}/v1`).chat.completions.create({
      model: 'policy',
      messages: [user('?')],
      tools: [lookupTool],
    })
    expect(response.choices[0]).toMatchObject({ finish_reason: 'stop', message: { content: text } })
    expect(response.choices[0]?.message.tool_calls).toBeUndefined()
  })

  it.each([
    ['none', 'plain', undefined],
    ['required', `{"name": "lookup", "arguments": {"query": "x"}}</tool_call>`, { query: 'x' }],
    [{ type: 'function', function: { name: 'lookup' } }, '{"query": "y"}}</tool_call>', { query: 'y' }],
  ])('holds tool_choice %j', async (toolChoice, says, input) => {
    const { url, policy } = await serve(() => `${says}<|end|>`)
    const response = await client(`${url}/v1`).chat.completions.create({
      model: 'policy',
      messages: [user('?')],
      tools: [lookupTool],
      tool_choice: toolChoice as 'none',
    })
    const [made] = response.choices[0]?.message.tool_calls ?? []
    if (input === undefined) expect(made).toBeUndefined()
    else expect(made).toMatchObject({ function: { name: 'lookup', arguments: JSON.stringify(input) } })
    const banned = policy.samplings[0]?.logitBias?.get(tokenizer.tokenId('<tool_call>') as number)
    expect(banned).toBe(toolChoice === 'none' ? Number.NEGATIVE_INFINITY : undefined)
  })

  it('stops after one call where parallel_tool_calls is false', async () => {
    const { url } = await serve(() => `${call('lookup')}${call('lookup')}<|end|>`)
    const response = await client(`${url}/v1`).chat.completions.create({
      model: 'policy',
      messages: [user('?')],
      tools: [lookupTool],
      parallel_tool_calls: false,
    })
    expect(response.choices[0]?.message.tool_calls).toHaveLength(1)
  })

  it('cuts at max_completion_tokens and before stop texts', async () => {
    const { url } = await serve(() => 'one two three<|end|>')
    const openai = client(`${url}/v1`)
    const ask = (more: object) =>
      openai.chat.completions.create({ model: 'policy', messages: [user('?')], ...more })
    const cut = (await ask({ max_completion_tokens: 5 })) as OpenAI.ChatCompletion
    expect(cut.choices[0]).toMatchObject({ finish_reason: 'length', message: { content: 'one t' } })
    const stopped = (await ask({ stop: [' three', ' two'] })) as OpenAI.ChatCompletion
    expect(stopped.choices[0]).toMatchObject({ finish_reason: 'stop', message: { content: 'one' } })
  })

  it('gives n choices with seeds of their own', async () => {
    const { url } = await serve((_conversation, { seed }) => `${seed}<|end|>`)
    const response = await client(`${url}/v1`).chat.completions.create({
      model: 'policy',
      messages: [user('?')],
      n: 3,
      seed: 5,
    })
    const said = response.choices.map(({ message }) => message.content)
    expect(said[0]).toBe('5')
    expect(new Set(said).size).toBe(3)
    expect(response.choices.map(({ index }) => index)).toEqual([0, 1, 2])
  })

  it('lists its models', async () => {
    const { url } = await serve(() => '', { model: 'mine', aliases: ['gpt-4o-mini'] })
    const openai = client(`${url}/v1`)
    const ids = []
    for await (const model of openai.models.list()) ids.push(model.id)
    expect(ids).toEqual(['mine', 'gpt-4o-mini'])
    expect(await openai.models.retrieve('mine')).toMatchObject({
      id: 'mine',
      object: 'model',
      owned_by: 'hdpo',
    })
    await expect(openai.models.retrieve('other')).rejects.toMatchObject({
      status: 404,
      code: 'model_not_found',
    })
  })
})

describe('streams', () => {
  const texts = [
    'Paris.',
    `I look it up.\n${call('lookup', { query: 'ü🙂' })}`,
    `${call('lookup')} and ${call('lookup', { limit: 1 })} then`,
    '<tool_call>{"name": </tool_call> oops',
    '<tool_call>never closed',
    'a < b <tool',
    '  spaces  ',
  ]
  it.each(texts)('says %j in pieces as it does at once', async (text) => {
    const { url } = await serve(() => `${text}<|end|>`)
    const openai = client(`${url}/v1`)
    const body = { model: 'policy', messages: [user('?')], tools: [lookupTool] }
    const whole = await openai.chat.completions.create(body)
    const stream = openai.chat.completions.stream({ ...body, stream_options: { include_usage: true } })
    const streamed = await stream.finalChatCompletion()
    const plain = (completion: OpenAI.ChatCompletion) =>
      completion.choices.map(({ message, finish_reason }) => ({
        finish_reason,
        // The client returns '' for a stream without content.
        content: message.content ?? '',
        calls: message.tool_calls?.map(
          (made) => 'function' in made && [made.function.name, made.function.arguments],
        ),
      }))
    expect(plain(streamed as OpenAI.ChatCompletion)).toEqual(plain(whole))
    expect(streamed.usage).toEqual(whole.usage)
  })

  it('come piece by piece, with logprobs, and hold back what may be a stop text', async () => {
    const { url } = await serve(() => 'one two three<|end|>')
    const stream = await client(`${url}/v1`).chat.completions.create({
      model: 'policy',
      messages: [user('?')],
      stream: true,
      stop: 'two t',
      logprobs: true,
    })
    const chunks: OpenAI.ChatCompletionChunk[] = []
    for await (const chunk of stream) chunks.push(chunk)
    const pieces = chunks.map((chunk) => chunk.choices[0]?.delta.content).filter(Boolean)
    expect(pieces.length).toBeGreaterThan(2)
    expect(pieces.join('')).toBe('one ')
    const tokens = chunks
      .flatMap((chunk) => chunk.choices[0]?.logprobs?.content ?? [])
      .map(({ token }) => token)
    expect(tokens.join('')).toBe('one two t')
    expect(chunks.at(-1)?.choices[0]?.finish_reason).toBe('stop')
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1)
  })

  it('interleave n choices', async () => {
    const { url } = await serve((_conversation, { seed }) => `seed ${seed}<|end|>`)
    const stream = await client(`${url}/v1`).chat.completions.create({
      model: 'policy',
      messages: [user('?')],
      stream: true,
      n: 2,
    })
    const said = ['', '']
    for await (const { choices } of stream) {
      for (const { index, delta } of choices) said[index] += delta.content ?? ''
    }
    expect(said[0]).toMatch(/^seed \d+$/)
    expect(said[1]).toMatch(/^seed \d+$/)
    expect(said[0]).not.toBe(said[1])
  })
})

it('runs the whole loop of a tool-calling agent as one token sequence', async () => {
  const { url, rollout, policy } = await serve(lookupScript)
  const { apiKey, baseURL, finish } = rollout()
  expect(baseURL).toBe(`${url}/v1`)
  const runner = client(baseURL, apiKey).chat.completions.runTools({
    model: 'policy',
    messages: [user('Capital of Peru?')],
    tools: [
      {
        type: 'function',
        function: {
          function: () => 'Lima',
          parse: JSON.parse,
          parameters: { type: 'object', properties: {} },
          name: 'lookup',
          description: 'Looks up',
        },
      },
    ],
  })
  expect(await runner.finalContent()).toBe('It is Lima.')
  const played = await finish({ correct: true, answer: 'Lima' })
  expect(played.moreSequences).toBeUndefined()
  expect(tokenizer.decode(played.tokens)).toBe(
    `tools: lookup\nuser: Capital of Peru?\nassistant: I look it up.\n${call('lookup', { query: 'capital', limit: 2 })}<|end|>` +
      '\ntool: Lima\nassistant: It is Lima.<|end|>',
  )
  expect(tokenizer.decode(played.tokens.filter((_, index) => played.mask[index]))).toBe(
    `I look it up.\n${call('lookup', { query: 'capital', limit: 2 })}<|end|>It is Lima.<|end|>`,
  )
  expect(played).toMatchObject({
    taskId: 'capital',
    turns: 2,
    end: 'answer',
    finalAnswer: 'Lima',
    wellFormed: true,
    outcome: { correct: true, answer: 'Lima' },
    toolCalls: [
      { name: 'lookup', outcome: 'ok', observation: 'Lima', arguments: { query: 'capital', limit: 2 } },
    ],
  })
  // The prompt was computed once, and the second turn continued the first's sequence.
  expect(policy.created).toEqual([played.promptTokens])
})
