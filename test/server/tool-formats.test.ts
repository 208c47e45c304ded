// Formats of calls, and thoughts that the template opens, as OpenAI's client sees them.
import OpenAI from 'openai'
import { describe, expect, it } from 'vitest'
import type { ChatTemplate, Message } from '../../lib/policy/types.js'
import { ask, call, lookupTool, post, type Served, serve } from './conversations.js'
import { type Script, template, tokenizer } from './served-policy.js'

const user = (content: string) => ({ role: 'user' as const, content })
const lookup = (query: string) => `{"name": "lookup", "arguments": {"query": "${query}"}}`

async function serveAs(script: Script, changed: Partial<ChatTemplate>): Promise<Served & { openai: OpenAI }> {
  const served = await serve(script)
  served.policy.template = { ...template, ...changed }
  return { ...served, openai: new OpenAI({ baseURL: `${served.url}/v1`, apiKey: 'unused', maxRetries: 0 }) }
}

describe("Mistral's calls", () => {
  const script: Script = (conversation) =>
    conversation.includes('tool:')
      ? 'done<|end|>'
      : `I look. [TOOL_CALLS] [${lookup('a')}, ${lookup('b').slice(0, -1)}, "id": "a1B2c3D4e"}]<|end|>`

  it('stream as content and calls, and their results are rendered with their ids', async () => {
    const prompts: Message[][] = []
    const { openai } = await serveAs(script, {
      toolFormat: 'mistral',
      prompt: (messages, tools) => {
        prompts.push(messages)
        return template.prompt(messages, tools)
      },
    })
    const body = { model: 'policy', messages: [user('?')], tools: [lookupTool], seed: 1 }
    const contents: string[] = []
    const stream = openai.chat.completions.stream(body).on('content', (delta) => contents.push(delta))
    const streamed = (await stream.finalChatCompletion()).choices[0]
    const whole = (await openai.chat.completions.create(body)).choices[0]
    expect(contents.join('')).toBe('I look.')
    const calls = (streamed?.message.tool_calls ?? []) as OpenAI.ChatCompletionMessageFunctionToolCall[]
    expect(streamed?.finish_reason).toBe('tool_calls')
    expect(calls.map(({ function: made }) => [made.name, JSON.parse(made.arguments)])).toEqual([
      ['lookup', { query: 'a' }],
      ['lookup', { query: 'b' }],
    ])
    expect(calls[0]?.id).toMatch(/^[0-9a-f]{9}$/)
    expect(calls[1]?.id).toBe('a1B2c3D4e')
    // Ids depend only on the turn's place, because they are part of what is trained on.
    expect(whole?.message.tool_calls?.map(({ id }) => id)).toEqual(calls.map(({ id }) => id))
    const results = calls.map(({ id }) => ({ role: 'tool' as const, tool_call_id: id, content: '1' }))
    const said = { role: 'assistant' as const, content: 'I look.', tool_calls: calls }
    await openai.chat.completions.create({ ...body, messages: [user('?'), said, ...results] })
    expect(prompts.at(-1)?.map(({ callId, toolCalls }) => callId ?? toolCalls?.map(({ id }) => id))).toEqual([
      undefined,
      calls.map(({ id }) => id),
      calls[0]?.id,
      calls[1]?.id,
    ])
  })

  it('that cannot be read stay in the content', async () => {
    const { openai } = await serveAs(() => `[TOOL_CALLS] [${lookup('a')}<|end|>`, { toolFormat: 'mistral' })
    const { choices } = await openai.chat.completions.create({
      model: 'policy',
      messages: [user('?')],
      tools: [lookupTool],
    })
    expect(choices[0]).toMatchObject({
      finish_reason: 'stop',
      message: { content: `[TOOL_CALLS] [${lookup('a')}` },
    })
  })

  it.each([
    ['required', `[${lookup('a')}]`],
    [{ type: 'function', function: { name: 'lookup' } }, '{"query": "a"}}]'],
    ['none', 'Paris.'],
  ])('hold tool_choice %j', async (toolChoice, says) => {
    const { policy, url } = await serveAs(() => `${says}<|end|>`, { toolFormat: 'mistral' })
    const { json } = await post(
      `${url}/v1/chat/completions`,
      ask('?', { tools: [lookupTool], tool_choice: toolChoice }),
    )
    if (toolChoice === 'none') {
      expect(json.choices[0].message.content).toBe('Paris.')
      const mark = tokenizer.tokenId('[TOOL_CALLS]') as number
      expect(policy.samplings[0]?.logitBias?.get(mark)).toBe(Number.NEGATIVE_INFINITY)
      return
    }
    expect(json.choices[0].message.tool_calls[0].function).toEqual({
      name: 'lookup',
      arguments: '{"query":"a"}',
    })
  })

  it('are not ended one by one', async () => {
    const { url } = await serveAs(script, { toolFormat: 'mistral' })
    const body = ask('?', { tools: [lookupTool], parallel_tool_calls: false })
    const { json } = await post(`${url}/v1/chat/completions`, body)
    expect(json.error.message).toMatch(/calls end with a token of their own.*mistral format/)
  })
})

describe('a thought that the template opened', () => {
  const opened = {
    prompt: (...given: Parameters<ChatTemplate['prompt']>) => [
      ...template.prompt(...given),
      ...tokenizer.encode('<think>\n'),
    ],
  }

  it.each([true, false])('holds no calls, streamed: %j', async (streamed) => {
    const thought = `Perhaps ${call('lookup')}?</think>`
    const { openai } = await serveAs(() => `${thought}\n\n${call('lookup', { query: 'a' })}<|end|>`, opened)
    const body = { model: 'policy', messages: [user('?')], tools: [lookupTool] }
    const { choices } = streamed
      ? await openai.chat.completions.stream(body).finalChatCompletion()
      : await openai.chat.completions.create(body)
    expect(choices[0]?.message.content).toBe(thought)
    expect(choices[0]?.message.tool_calls).toMatchObject([{ function: { arguments: '{"query":"a"}' } }])
  })

  it('and did not end is content, and no call of the rollout', async () => {
    const { rollout } = await serveAs(() => `Perhaps ${call('lookup')}<|end|>`, opened)
    const { baseURL, apiKey, finish } = rollout()
    const openai = new OpenAI({ baseURL, apiKey, maxRetries: 0 })
    const body = { model: 'policy', messages: [user('?')], tools: [lookupTool] }
    const { choices } = await openai.chat.completions.create(body)
    expect(choices[0]).toMatchObject({
      finish_reason: 'stop',
      message: { content: `Perhaps ${call('lookup')}` },
    })
    expect((await finish({ reward: 0 })).toolCalls).toEqual([])
  })

  it.each([
    ['Is it <answer>0</answer>?</think>\n\n<answer>1</answer>', '1', true],
    ['Is it <answer>0</answer>?</think>So.', undefined, true],
    ['<reason>Hm, <answer>0</think><answer>1</answer>', '1', true],
    ['Hm.</think><answer>0</answer><answer>1</answer>', '1', false],
    ['Is it <answer>0</answer>?', undefined, false],
    ['Hm.</think>\n', undefined, false],
  ])('%j: the rollout answers %j, well-formed: %j', async (said, finalAnswer, wellFormed) => {
    const { rollout } = await serveAs(() => `${said}<|end|>`, opened)
    const { baseURL, apiKey, finish } = rollout()
    const openai = new OpenAI({ baseURL, apiKey, maxRetries: 0 })
    await openai.chat.completions.create({ model: 'policy', messages: [user('?')] })
    expect(await finish({ reward: 0 })).toMatchObject({ finalAnswer, wellFormed })
  })

  it.each([
    ['1', '1'],
    [' 1 ', ' 1 '],
    ['<think>0?</think>\n\n1', '1'],
    ['0?</think>\n\n1 ', '1'],
    ['<think>0?', undefined],
  ])('is no part of an answer that an agent reports: %j', async (answer, finalAnswer) => {
    const { rollout } = await serveAs(() => 'said<|end|>', {})
    const { baseURL, apiKey, finish } = rollout()
    const openai = new OpenAI({ baseURL, apiKey, maxRetries: 0 })
    await openai.chat.completions.create({ model: 'policy', messages: [user('?')] })
    expect(await finish({ answer })).toMatchObject({ finalAnswer, outcome: { answer } })
  })

  it("ends before the call of tool_choice 'required'", async () => {
    const { url } = await serveAs(() => '{"name": "lookup", "arguments": {}}</tool_call><|end|>', opened)
    const body = ask('?', { tools: [lookupTool], tool_choice: 'required' })
    const { json } = await post(`${url}/v1/chat/completions`, body)
    expect(json.choices[0].message.tool_calls).toHaveLength(1)
    expect(json.choices[0].message.content).toBe('\n</think>')
  })
})
