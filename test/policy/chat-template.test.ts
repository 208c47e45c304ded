import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { taskTemplate } from '../../lib/families/chat-template.js'
import { createChatTemplate } from '../../lib/policy/chat-template.js'
import { loadTokenizer } from '../../lib/policy/tokenizer.js'
import type { Message, ToolDescription } from '../../lib/policy/types.js'

const path = new URL('../../lib/families/atlas/tokenizer.json', import.meta.url)
const tokenizer = loadTokenizer({
  tokenizer: JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>,
})

// Like Qwen3's template: tools in the system turn, results in a user turn, an empty thought only before the last answer.
const qwenLike = `
{%- if tools %}{{- '<|im_start|>system\\n' }}{%- for tool in tools %}{{- tool | tojson }}{%- endfor %}{{- '<|im_end|>\\n' }}{%- endif %}
{%- set state = namespace(question=0) %}
{%- for message in messages %}{%- if message.role == 'user' %}{%- set state.question = loop.index0 %}{%- endif %}{%- endfor %}
{%- for message in messages %}
{%- if message.role == 'assistant' %}
{{- '<|im_start|>assistant\\n' }}
{%- if loop.last and loop.index0 > state.question %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}
{{- message.content }}
{%- for call in message.tool_calls or [] %}{{- '\\n<tool_call>\\n' + call.function | tojson + '\\n</tool_call>' }}{%- endfor %}
{{- '<|im_end|>\\n' }}
{%- elif message.role == 'tool' %}
{%- if loop.first or messages[loop.index0 - 1].role != 'tool' %}{{- '<|im_start|>user' }}{%- endif %}
{{- '\\n<tool_response>\\n' + message.content + '\\n</tool_response>' }}
{%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}{{- '<|im_end|>\\n' }}{%- endif %}
{%- else %}{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}`

const tool: ToolDescription = { name: 'search', description: 'Finds things', parameters: { type: 'object' } }
const question: Message = { role: 'user', content: 'What is the capital of France?' }
const call: Message = {
  role: 'assistant',
  content: '',
  toolCalls: [{ name: 'search', arguments: { query: 'France capital' } }],
}
const result: Message = { role: 'tool', name: 'search', content: 'France: capital Paris' }
const reply: Message = { role: 'assistant', content: '<answer>Paris</answer>' }
const conversation = [question, call, result, reply]

const atlas = createChatTemplate(taskTemplate, tokenizer)
const qwen = createChatTemplate({ template: qwenLike, endOfTurn: '<|im_end|>' }, tokenizer)

describe('atlas template', () => {
  it('writes a compact prompt and leaves the tools out', () => {
    const text = '<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n'
    expect(tokenizer.decode(atlas.prompt([question], [tool]))).toBe(text)
  })

  it('writes observations, and ends a turn that the policy did not end', () => {
    const text =
      '\n<|im_start|>tool\n<tool_response>France: capital Paris</tool_response><|im_end|>\n<|im_start|>assistant\n'
    expect(tokenizer.decode(atlas.observation([result], true))).toBe(text)
    expect(atlas.observation([result], false)).toEqual([
      atlas.endOfTurn,
      ...atlas.observation([result], true),
    ])
  })

  it('writes calls as parseable JSON between the tags', () => {
    const { tokens } = atlas.supervised([question, call], [])
    const inside = /<tool_call>(.*)<\/tool_call><\|im_end\|>$/.exec(tokenizer.decode(tokens))?.[1]
    expect(JSON.parse(inside as string)).toEqual(call.toolCalls?.[0])
  })
})

describe.each([
  {
    name: 'atlas',
    template: atlas,
    texts: [
      '<tool_call>{"name": "search", "arguments": {"query": "France capital"}}</tool_call>',
      reply.content,
    ],
  },
  {
    name: 'Qwen-like',
    template: qwen,
    texts: [
      '<think>\n\n</think>\n\n\n<tool_call>\n{"name": "search", "arguments": {"query": "France capital"}}\n</tool_call>',
      `<think>\n\n</think>\n\n${reply.content}`,
    ],
  },
])('supervised, $name', ({ template, texts }) => {
  it('is what a rollout that samples the same text sees', () => {
    const { tokens, mask } = template.supervised(conversation, [tool])
    const sampled = texts.map((text) => [...tokenizer.encode(text), template.endOfTurn]) as [
      number[],
      number[],
    ]
    const prompt = template.prompt([question], [tool])
    const observation = template.observation([result], true)
    expect(tokens).toEqual([...prompt, ...sampled[0], ...observation, ...sampled[1]])
    expect(mask).toEqual(
      [prompt, sampled[0], observation, sampled[1]].flatMap((part, index) => part.map(() => index % 2)),
    )
  })

  it('trains the parts of a turn that `trained` names', () => {
    const trainedTokens = (trained: Message['trained'], mark = 1) => {
      const { tokens, mask } = template.supervised([question, { ...reply, ...(trained && { trained }) }], [])
      return tokens.filter((_, index) => mask[index] === mark)
    }
    const all = trainedTokens(undefined)
    expect(all).toEqual([...tokenizer.encode(texts[1] as string), template.endOfTurn])
    expect(trainedTokens('all')).toEqual(all)
    expect(trainedTokens('first')).toEqual(all.slice(0, 1))
    expect(trainedTokens('without-calls')).toEqual([])
    expect(trainedTokens('without-calls', 2)).toEqual(all)
    expect(trainedTokens('none')).toEqual([])
  })
})

describe('createChatTemplate', () => {
  it('renders several tool messages and later questions', () => {
    const text = tokenizer.decode(qwen.observation([result, result], true))
    expect(text.match(/<tool_response>/g)).toHaveLength(2)
    const { tokens } = qwen.supervised([...conversation, question, reply], [tool])
    expect(tokenizer.decode(tokens).match(/capital of France/g)).toHaveLength(2)
  })

  it('shows the tools to templates that want them', () => {
    expect(tokenizer.decode(qwen.prompt([question], [tool]))).toContain(
      '"name": "search", "description": "Finds things"',
    )
  })

  it('says what is wrong with a template', () => {
    const make = (template: string, endOfTurn = '<|im_end|>') =>
      createChatTemplate({ template, endOfTurn }, tokenizer)
    expect(() => make('{% for %}')).toThrow(/does not parse/)
    expect(() => make('', '<eot>')).toThrow(/"<eot>" is not a token/)
    expect(() => make("{{ raise_exception('no tools here') }}").prompt([question], [])).toThrow(
      /does not render.*no tools here/,
    )
    const contentless = "{% for message in messages %}{{ message.role + '<|im_end|>' }}{% endfor %}"
    expect(() => make(contentless).observation([result], true)).toThrow(
      /does not write an assistant's content/,
    )
    expect(() => make(`x{{ messages | length }}`).supervised(conversation, [])).toThrow(/generation prompt/)
  })

  it('says what is wrong with a conversation', () => {
    expect(() => atlas.supervised([reply], [])).toThrow(
      "messages: must be a conversation with a message before its first assistant message, got [ 'assistant' ]",
    )
    expect(() => atlas.supervised([question, reply, reply], [])).toThrow(
      "messages[2]: must be of another role than the message before it (put both into one), got 'assistant'",
    )
    expect(() => atlas.supervised([question, call, result], [])).toThrow(
      /messages: must be a conversation that ends with an assistant message, got \[.*'tool' \]/,
    )
  })
})
