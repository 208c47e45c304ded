// Mistral's chat templates over a SentencePiece vocabulary: Llama 2's own with Mistral's control tokens.
import { describe, expect, it } from 'vitest'
import { callId, withCallIds } from '../../lib/policy/calls/call-ids.js'
import { mistral as mistralCalls } from '../../lib/policy/calls/mistral.js'
import { type ChatTemplateSource, createChatTemplate } from '../../lib/policy/chat-template.js'
import { loadTokenizer } from '../../lib/policy/tokenizer.js'
import type { Message, ToolDescription } from '../../lib/policy/types.js'
import { runRollout } from '../../lib/rollout/run-rollout.js'
import { createSetting } from '../../lib/rollout/setting.js'
import { defineTool } from '../../lib/tools/define-tool.js'
import { ScriptedPolicy, template as scriptedTemplate, turns } from '../rollout/scripted-policy.js'
import {
  mistralArgsLikeTemplate,
  mistralControlTokens,
  mistralLikeTemplate,
} from './mistral-like-templates.js'
import { publishedTokenizer } from './published-tokenizer.js'

const tokenizer = mistralTokenizer()
const source: ChatTemplateSource = { template: mistralLikeTemplate, beginOfText: '<s>', endOfText: '</s>' }
const mistral = createChatTemplate(source, tokenizer)
const later = createChatTemplate({ ...source, template: mistralArgsLikeTemplate }, tokenizer)
const text = (tokens: readonly number[]) => tokenizer.decode(tokens, { continues: true })
const squeezed = (tokens: readonly number[]) => text(tokens).replace(/ +/g, ' ')

const tool: ToolDescription = { name: 'search', description: 'Finds things', parameters: { type: 'object' } }
const question: Message = { role: 'user', content: '東京と大阪の人口は？' }
const calls: Message = {
  role: 'assistant',
  content: '',
  toolCalls: [
    { name: 'search', arguments: { query: '東京' } },
    { name: 'search', arguments: { query: '大阪' }, id: 'a1B2c3D4e' },
  ],
}
const results: Message[] = [
  { role: 'tool', name: 'search', content: '13960000' },
  { role: 'tool', name: 'search', content: '2691000' },
]
const reply: Message = { role: 'assistant', content: '<answer>16651000</answer>' }
const conversation = [question, calls, ...results, reply]

describe("a template like Mistral v0.3's", () => {
  it('is recognised', () => {
    expect(mistral).toMatchObject({ toolFormat: 'mistral', writesCalls: true, endOfTurn: 2, endTokens: [2] })
    const checksMore = {
      ...source,
      template: `{{ raise_exception('no') if messages[1].tool_calls }}${source.template}`,
    }
    expect(createChatTemplate(checksMore, tokenizer).toolFormat).toBe('mistral')
  })

  it('shows the tools, and the system message, in the last question', () => {
    const system: Message = { role: 'system', content: 'Be brief.' }
    const earlier: Message[] = [
      { role: 'user', content: 'hi' },
      { role: 'assistant', content: 'hello' },
    ]
    expect(squeezed(mistral.prompt([system, ...earlier, question], [tool]))).toBe(
      '<s>[INST] hi[/INST] hello</s>[AVAILABLE_TOOLS] [{"type": "function", "function": {"name": "search", ' +
        '"description": "Finds things", "parameters": {"type": "object"}}}][/AVAILABLE_TOOLS]' +
        `[INST] Be brief.\n\n${question.content}[/INST]`,
    )
  })

  it('is trained on the calls, with ids, and the reply alone: the tokens of the whole text', () => {
    const { tokens, mask } = mistral.supervised(conversation, [])
    const trained = tokens.filter((_, place) => mask[place] === 1)
    const first = '{"name": "search", "arguments": {"query": "東京"}, "id": "call00000"}'
    const second = '{"name": "search", "arguments": {"query": "大阪"}, "id": "a1B2c3D4e"}'
    expect(squeezed(trained)).toBe(`[TOOL_CALLS] [${first}, ${second}]</s> <answer>16651000</answer></s>`)
    const whole =
      `<s>[INST] ${question.content}[/INST][TOOL_CALLS] [${first}, ${second}]</s>` +
      '[TOOL_RESULTS] {"content": 13960000, "call_id": "call00000"}[/TOOL_RESULTS]' +
      '[TOOL_RESULTS] {"content": 2691000, "call_id": "a1B2c3D4e"}[/TOOL_RESULTS] <answer>16651000</answer></s>'
    expect(tokens).toEqual(tokenizer.encode(whole))
    expect(mistralCalls.parse(text(trained).split('</s>')[0] as string)).toEqual([
      { kind: 'call', name: 'search', arguments: { query: '東京' }, id: 'call00000' },
      { kind: 'call', name: 'search', arguments: { query: '大阪' }, id: 'a1B2c3D4e' },
    ])
  })

  it('turns calls off by their token, and begins one with it', () => {
    const policy = Object.assign(new ScriptedPolicy(() => ''), { template: mistral, tokenizer })
    const search = defineTool({
      name: 'search',
      description: 'Finds things',
      input: { type: 'object' },
      run: () => '',
    })
    const task = { id: 'a', messages: [question], answer: '' }
    const mark = tokenizer.tokenId('[TOOL_CALLS]')
    const off = createSetting(policy, task, [search], { toolChoice: 'none' })
    expect(off).toMatchObject({ bannedToken: mark, forced: undefined })
    expect(text(off.prompt)).toContain('[AVAILABLE_TOOLS]')
    expect(createSetting(policy, task, [search], { toolChoice: 'required' }).forced).toEqual({
      tokens: [mark],
      text: '[TOOL_CALLS]',
    })
  })

  it('answers the calls of a rollout by the ids that the policy wrote, else by their numbers', async () => {
    const seen: Message[] = []
    const policy = turns(
      '[TOOL_CALLS] [{"name": "search", "arguments": {"query": "a"}}, {"name": "search", "arguments": {}, "id": "a1B2c3D4e"}]<|end|>',
      '[TOOL_CALLS] [{"name": "search"<|end|>',
      'Once more. [TOOL_CALLS] [{"name": "search", "arguments": {"query": "b"}}]<|end|>',
      '<answer>1</answer><|end|>',
    )
    policy.template = {
      ...scriptedTemplate,
      toolFormat: 'mistral',
      observation: (messages, ended) => {
        seen.push(...messages)
        return scriptedTemplate.observation(messages, ended)
      },
    }
    const search = defineTool({
      name: 'search',
      description: 'Finds things',
      input: { type: 'object', properties: { query: { type: 'string' } } },
      run: ({ query }) => `found ${query}`,
    })
    const { toolCalls, messages, end } = await runRollout(
      policy,
      { id: 'a', messages: [question], answer: '1' },
      [search],
    )
    expect(end).toBe('answer')
    expect(toolCalls.map(({ outcome }) => outcome)).toEqual(['ok', 'ok', 'malformed', 'ok'])
    expect(seen.map(({ callId: id }) => id)).toEqual(['call00000', 'a1B2c3D4e', 'call00002', 'call00003'])
    expect(messages[4]).toEqual({ role: 'assistant', content: '[TOOL_CALLS] [{"name": "search"' })
    expect(messages[6]).toMatchObject({ content: 'Once more.', toolCalls: [{ name: 'search' }] })
    // When the conversation is rendered again, its calls have the same ids.
    const again = withCallIds(messages)
    expect(again.filter(({ role }) => role === 'tool').map(({ callId: id }) => id)).toEqual(
      seen.map(({ callId: id }) => id),
    )
  })
})

describe("a template like later Mistral's", () => {
  it('is recognised, and is trained on text, calls and reply', () => {
    expect(later).toMatchObject({ toolFormat: 'mistral-args', writesCalls: true })
    const said = { ...calls, content: 'Both.' }
    const { tokens, mask } = later.supervised([question, said, ...results, reply], [])
    expect(squeezed(tokens.filter((_, place) => mask[place] === 1))).toBe(
      ' Both.[TOOL_CALLS] search[ARGS] {"query": "東京"}[TOOL_CALLS] search[ARGS] {"query": "大阪"}</s> <answer>16651000</answer></s>',
    )
  })
})

describe('ids of calls', () => {
  it('are kept where they are valid, else made of what was given, always the same', () => {
    expect(callId('a1B2c3D4e', 7)).toBe('a1B2c3D4e')
    expect(callId(undefined, 7)).toBe('call00007')
    const made = callId('call_PTLP8xhu3uwZk4l3', 7)
    expect(made).toMatch(/^[0-9a-f]{9}$/)
    expect(callId('call_PTLP8xhu3uwZk4l3', 0)).toBe(made)
  })

  it('name results in the order of the calls where they say nothing else', () => {
    const other: Message = { role: 'tool', content: '', callId: 'call_1' }
    expect(withCallIds([question, calls, results[0] as Message, other]).map(({ callId: id }) => id)).toEqual([
      undefined,
      undefined,
      'call00000',
      callId('call_1', 0),
    ])
  })
})

function mistralTokenizer() {
  const files = publishedTokenizer('llama2')
  const { added_tokens: added, model } = files.tokenizer as {
    added_tokens: { id: number; content: string }[]
    model: { vocab: object }
  }
  const first = Object.keys(model.vocab).length
  const control = mistralControlTokens.map((content, index) => ({
    ...added[0],
    id: first + index,
    content,
    special: true,
  }))
  return loadTokenizer({ ...files, tokenizer: { ...files.tokenizer, added_tokens: [...added, ...control] } })
}
