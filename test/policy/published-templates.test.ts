// Chat templates over real vocabularies: Qwen3's own, and one that renders as Llama 3.1's.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { type ChatTemplateSource, createChatTemplate } from '../../lib/policy/chat-template.js'
import { namedTemplates, readTemplateSource } from '../../lib/policy/template-files.js'
import { loadTokenizer } from '../../lib/policy/tokenizer.js'
import type { Message, ToolDescription } from '../../lib/policy/types.js'
import { runRollout } from '../../lib/rollout/run-rollout.js'
import { createSetting } from '../../lib/rollout/setting.js'
import { defineTool } from '../../lib/tools/define-tool.js'
import { ScriptedPolicy } from '../rollout/scripted-policy.js'
import { llama3LikeTemplate } from './llama3-like-template.js'
import { publishedTokenizer } from './published-tokenizer.js'

const files = {
  qwen3: publishedTokenizer('qwen3'),
  llama3: publishedTokenizer('llama3_1'),
  llama2: publishedTokenizer('llama2'),
}
const tokenizers = {
  qwen3: loadTokenizer(files.qwen3),
  llama3: loadTokenizer(files.llama3),
  llama2: loadTokenizer(files.llama2),
}
const qwen3Source = namedTemplates(files.qwen3.config?.chat_template) as ChatTemplateSource
const qwen3 = createChatTemplate(qwen3Source, tokenizers.qwen3)
const llama3Source = {
  template: llama3LikeTemplate,
  beginOfText: '<|begin_of_text|>',
  endTokens: [128001, 128008, 128009],
  variables: { date_string: '26 Jul 2024' },
}
const llama3 = createChatTemplate(llama3Source, tokenizers.llama3)

const tool: ToolDescription = { name: 'search', description: 'Finds things', parameters: { type: 'object' } }
const question: Message = { role: 'user', content: '東京の人口は？' }
const call: Message = {
  role: 'assistant',
  content: '',
  toolCalls: [{ name: 'search', arguments: { query: '東京' } }],
}
const result: Message = { role: 'tool', name: 'search', content: '13,960,000 🙂' }
const reply: Message = { role: 'assistant', content: '<answer>13,960,000</answer>' }

describe("Qwen3's template", () => {
  const text = (tokens: number[]) => tokenizers.qwen3.decode(tokens)

  it('is recognised', () => {
    expect(qwen3).toMatchObject({
      toolFormat: 'hermes',
      writesCalls: true,
      endOfTurn: 151645,
      endTokens: [151645],
    })
  })

  it('shows the tools and asks for calls in tags', () => {
    const prompt = text(qwen3.prompt([question], [tool]))
    expect(prompt).toContain('<tools>\n{"type": "function", "function": {"name": "search"')
    expect(prompt.endsWith('東京の人口は？<|im_end|>\n<|im_start|>assistant\n')).toBe(true)
  })

  it('turns thinking off where it is asked to', () => {
    const quiet = createChatTemplate(
      { ...qwen3Source, variables: { enable_thinking: false } },
      tokenizers.qwen3,
    )
    expect(text(quiet.prompt([question], []))).toMatch(/assistant\n<think>\n\n<\/think>\n\n$/)
    const { tokens, mask } = quiet.supervised([question, reply], [])
    expect(text(tokens.filter((_, place) => mask[place] === 1))).toBe('<answer>13,960,000</answer><|im_end|>')
  })

  it('continues a turn as the template itself renders the conversation', () => {
    const sampled = 'x'
    const whole = qwen3.prompt([question, { role: 'assistant', content: sampled }, result], [])
    const parts = [
      ...qwen3.prompt([question], []),
      ...tokenizers.qwen3.encode(sampled),
      qwen3.endOfTurn,
      ...qwen3.observation([result], true),
    ]
    expect(parts).toEqual(whole)
  })

  it('keeps what was thought before, which it would leave out of a rendering', () => {
    const thought: Message = { role: 'assistant', content: '<think>\nHm.\n</think>\n\nParis' }
    const observation = text(qwen3.observation([{ role: 'user', content: 'And Italy?' }], true))
    expect(observation).toBe('\n<|im_start|>user\nAnd Italy?<|im_end|>\n<|im_start|>assistant\n')
    const rendered = text(qwen3.prompt([question, thought, question], []))
    expect(rendered).not.toContain('Hm.')
    const { tokens } = qwen3.supervised([question, thought, question, reply], [])
    expect(text(tokens)).toContain('<think>\nHm.\n</think>\n\nParis<|im_end|>')
  })
})

describe("a template like Llama 3.1's", () => {
  const text = (tokens: number[]) => tokenizers.llama3.decode(tokens)
  const header = (role: string) => `<|start_header_id|>${role}<|end_header_id|>\n\n`

  it('is recognised: JSON calls, one token that it writes and more that end a turn', () => {
    expect(llama3).toMatchObject({
      toolFormat: 'llama3-json',
      writesCalls: true,
      endOfTurn: 128009,
      endTokens: [128009, 128001, 128008],
    })
  })

  it('begins with one beginning of text, and the date that was given', () => {
    const prompt = llama3.prompt([question], [])
    expect(prompt.filter((token) => token === 128000)).toHaveLength(1)
    expect(text(prompt)).toContain('Today Date: 26 Jul 2024')
    const { variables: _, ...today } = llama3Source
    expect(text(createChatTemplate(today, tokenizers.llama3).prompt([question], []))).toMatch(
      /Today Date: \d\d [A-Z][a-z]{2} \d{4}\n/,
    )
  })

  it('is trained on the call and the reply alone', () => {
    const { tokens, mask } = llama3.supervised([question, call, result, reply], [tool])
    const trained = text(tokens.filter((_, place) => mask[place] === 1))
    expect(trained).toBe(
      `{"name": "search", "parameters": {"query": "東京"}}<|eot_id|><answer>13,960,000</answer><|eot_id|>`,
    )
    expect(text(tokens)).toContain(
      `<|eot_id|>${header('ipython')}13,960,000 🙂<|eot_id|>${header('assistant')}`,
    )
  })

  it('passes on what the template refuses', () => {
    const two = { ...call, toolCalls: [...(call.toolCalls ?? []), ...(call.toolCalls ?? [])] }
    expect(() => llama3.supervised([question, two], [tool])).toThrow(/only supports single tool-calls/)
  })

  it('leaves the tools out of the prompt where calls are off', () => {
    const policy = Object.assign(new ScriptedPolicy(() => ''), {
      template: llama3,
      tokenizer: tokenizers.llama3,
    })
    const tools = [
      defineTool({ name: 'search', description: 'Finds things', input: { type: 'object' }, run: () => '' }),
    ]
    const task = { id: 'a', messages: [question], answer: '' }
    const off = createSetting(policy, task, tools, { toolChoice: 'none' })
    expect(text([...off.prompt])).not.toContain('search')
    expect(off.bannedToken).toBe(tokenizers.llama3.tokenId('<|python_tag|>'))
    const required = createSetting(policy, task, tools, { toolChoice: 'required' })
    expect(text([...required.prompt])).toContain('"name": "search"')
    expect(required.forced?.text).toBe('{"name": "')
  })
})

describe("a template like Llama 2's", () => {
  const template =
    "{% for message in messages %}{% if message.role == 'user' %}{{ bos_token + '[INST] ' + message.content + ' [/INST]' }}" +
    "{% else %}{{ ' ' + message.content + ' ' + eos_token }}{% endif %}{% endfor %}"
  const llama2 = createChatTemplate({ template, beginOfText: '<s>', endOfText: '</s>' }, tokenizers.llama2)

  it('gives supervised training the tokens of the whole text', () => {
    const turns: Message[] = [
      question,
      { role: 'assistant', content: 'Paris' },
      question,
      { role: 'assistant', content: 'Rome' },
    ]
    const q = question.content
    const whole = `<s>[INST] ${q} [/INST] Paris </s><s>[INST] ${q} [/INST] Rome </s>`
    const { tokens, mask } = llama2.supervised(turns, [])
    expect(tokens).toEqual(tokenizers.llama2.encode(whole))
    const trained = tokens.filter((_, place) => mask[place] === 1)
    expect(tokenizers.llama2.decode(trained, { continues: true })).toBe(' Paris </s> Rome </s>')
    expect(llama2).toMatchObject({ endOfTurn: 2, toolFormat: 'hermes', writesCalls: false })
  })
})

describe('calls in a format that is not known', () => {
  const template =
    "{% for m in messages %}{% if m.tool_calls %}{{ '<function=' + m.tool_calls[0].function.name + '></function><|im_end|>' }}" +
    "{% else %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endif %}{% endfor %}"

  it('are refused where there are tools, unless Hermes is asked for', () => {
    const other = createChatTemplate({ template }, tokenizers.qwen3)
    expect(other.prompt([question], [])).not.toHaveLength(0)
    expect(() => other.prompt([question], [tool])).toThrow(
      /<function=probe_name>.*cannot read; toolFormat: 'hermes'/,
    )
    const asked = createChatTemplate({ template, toolFormat: 'hermes' }, tokenizers.qwen3)
    expect(asked.prompt([question], [tool])).toEqual(other.prompt([question], []))
  })
})

describe('readTemplateSource', () => {
  const root = mkdtempSync(join(tmpdir(), 'hdpo-template-'))
  afterAll(() => rmSync(root, { recursive: true }))
  const read = (chat_template: unknown, rest: object = {}) =>
    readTemplateSource({
      path: root,
      tokenizerConfig: { chat_template, ...rest },
      generationConfig: undefined,
    })

  it('reads one template, or named ones', () => {
    expect(read('a')).toEqual({ template: 'a' })
    const named = [
      { name: 'default', template: 'a' },
      { name: 'tool_use', template: 'b' },
    ]
    expect(read(named)).toEqual({ template: 'a', toolTemplate: 'b' })
    expect(() => read([{ name: 'rag', template: 'a' }])).toThrow(/"default" or "tool_use"; got "rag"/)
    expect(() => read(undefined)).toThrow(/no chat template/)
  })

  it('reads special tokens as text or as mappings, and every token that ends a text', () => {
    const rest = { eos_token: { content: '</s>' }, bos_token: '<s>' }
    expect(read('a', rest)).toEqual({ template: 'a', endOfText: '</s>', beginOfText: '<s>' })
    const tokenizerConfig = { chat_template: 'a' }
    const ids = (eos_token_id: unknown) =>
      readTemplateSource({ path: root, tokenizerConfig, generationConfig: { eos_token_id } }).endTokens
    expect(ids([1, 2])).toEqual([1, 2])
    expect(ids(3)).toEqual([3])
    expect(ids(null)).toBeUndefined()
  })

  it('prefers chat_template.jinja', () => {
    writeFileSync(join(root, 'chat_template.jinja'), 'from the file')
    mkdirSync(join(root, 'additional_chat_templates'))
    writeFileSync(join(root, 'additional_chat_templates', 'tool_use.jinja'), 'with tools')
    expect(read('a')).toEqual({ template: 'from the file', toolTemplate: 'with tools' })
  })
})

it("a rollout runs Llama 3's calls and ends turns at every token that ends one", async () => {
  const said = ['{"name": "search", "parameters": {"query": "x"}}<|end|>', '<answer>1</answer><|end|>']
  let turn = 0
  const policy = new ScriptedPolicy(() => said[turn++] as string)
  policy.template = { ...policy.template, toolFormat: 'llama3-json' }
  const asked: unknown[] = []
  const search = defineTool({
    name: 'search',
    description: 'Finds things',
    input: { type: 'object', properties: { query: { type: 'string' } } },
    run: (input) => {
      asked.push(input)
      return 'one'
    },
  })
  const rollout = await runRollout(policy, { id: 'a', messages: [question], answer: '1' }, [search])
  expect(asked).toEqual([{ query: 'x' }])
  expect(rollout).toMatchObject({ finalAnswer: '1', end: 'answer', turns: 2 })
  expect(rollout.messages[1]).toMatchObject({ content: '', toolCalls: [{ name: 'search' }] })
})
