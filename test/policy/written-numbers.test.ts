// Numbers of a log, from the file to the tokens that are trained, in every template.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { parseJsonKeeping } from '../../lib/core/exact-json.js'
import { taskTemplate } from '../../lib/families/chat-template.js'
import { type ChatTemplateSource, createChatTemplate } from '../../lib/policy/chat-template.js'
import { namedTemplates } from '../../lib/policy/template-files.js'
import { loadTokenizer } from '../../lib/policy/tokenizer.js'
import { withStandIns } from '../../lib/policy/written-numbers.js'
import { readConversations } from '../../lib/traces/read-conversations.js'
import { llama3LikeTemplate } from './llama3-like-template.js'
import { publishedTokenizer } from './published-tokenizer.js'

const folder = mkdtempSync(join(tmpdir(), 'hdpo-numbers-'))
afterAll(() => rmSync(folder, { recursive: true }))

const numbers = [
  '10.0',
  '1e3',
  '1E-5',
  '0.10',
  '-0.0',
  '7301456228930019841',
  '-9007199254740993',
  '1e400',
  '2.50',
]
const input = `{"amounts": [${numbers.join(', ')}], "order": {"id": ${numbers[5]}}, "n": 3, "s": "10.0"}`

const qwen3Files = publishedTokenizer('qwen3')
const qwen3 = loadTokenizer(qwen3Files)
const llama3 = loadTokenizer(publishedTokenizer('llama3_1'))
const turn = (calls: string) =>
  `{%- for message in messages %}<|im_start|>{{ message.role }}
{{ message.content }}{% for call in message.tool_calls or [] %}${calls}{% endfor %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}`
const templates: [string, ChatTemplateSource, typeof qwen3][] = [
  ['Qwen3', namedTemplates(qwen3Files.config?.chat_template) as ChatTemplateSource, qwen3],
  [
    'Llama 3',
    { template: llama3LikeTemplate, beginOfText: '<|begin_of_text|>', variables: { date_string: 'd' } },
    llama3,
  ],
  ['the built-in policies', taskTemplate, qwen3],
  [
    'arguments apart',
    {
      template: turn(
        '<tool_call>{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}</tool_call>' +
          '{% for key, value in call.function.arguments | items %}[{{ key }}={{ value | tojson }}]{% endfor %}',
      ),
    },
    qwen3,
  ],
]

async function imported(values: unknown, name: string) {
  const path = join(folder, name)
  writeFileSync(path, typeof values === 'string' ? values : JSON.stringify(values))
  return (await readConversations(path)).conversations[0]
}

const messages = (call: object) => [
  { role: 'user', content: 'q' },
  { role: 'assistant', content: '', tool_calls: [call] },
  { role: 'tool', content: 'r', tool_call_id: 'a' },
  { role: 'assistant', content: 'done' },
]
const asText = JSON.stringify({
  messages: messages({ id: 'a', type: 'function', function: { name: 'pay', arguments: input } }),
})
const asObject = asText.replace(JSON.stringify(input), input)
const own = `{"messages": [{"role": "user", "content": "q"},
  {"role": "assistant", "content": "", "toolCalls": [{"name": "pay", "arguments": ${input}}]},
  {"role": "tool", "content": "r"}, {"role": "assistant", "content": "done"}]}`.replaceAll('\n', '')

describe.each(templates)('%s', (_name, source, tokenizer) => {
  it.each([
    ['JSON text', 'text.jsonl', asText],
    ['an object', 'object.jsonl', asObject],
    ["hdpo's own form", 'own.jsonl', own],
    ['a list in one file', 'list.json', `[${asObject}]`],
  ])('trains the numbers of %s as they were written', async (_form, name, content) => {
    const conversation = await imported(content, name)
    const chat = createChatTemplate(source, tokenizer)
    const { tokens, mask } = chat.supervised(conversation?.messages ?? [], [])
    const trained = tokenizer.decode(tokens.filter((_, index) => mask[index] === 1))
    const written = trained.replaceAll(' ', '')
    expect(written).toContain(`"amounts":[${numbers.join(',')}]`)
    expect(written).toContain(`"order":{"id":${numbers[5]}}`)
    expect(written).toContain('"n":3,"s":"10.0"')
  })
})

it('keeps numbers where a template writes JSON within JSON, and in single quotes, and bare', () => {
  const { value, restore } = withStandIns({ a: parseJsonKeeping('{"b": 10.0}', 'text') }) as ReturnType<
    typeof withStandIns<{ a: { b: string } }>
  >
  const json = JSON.stringify(value.a)
  expect(restore(json)).toBe('{"b":10.0}')
  expect(restore(JSON.stringify(json))).toBe('"{\\"b\\":10.0}"')
  expect(restore(JSON.stringify(JSON.stringify(json)))).toBe(JSON.stringify(JSON.stringify('{"b":10.0}')))
  expect(restore(`b=${value.a.b}, ('${value.a.b}')`)).toBe("b=10.0, ('10.0')")
})

it('leaves what has no such number alone', () => {
  const value = { a: [1, 'x', null, true] }
  expect(withStandIns(value).value).toBe(value)
})

it('reads tools, results and traces with their numbers as well', async () => {
  const tool =
    '{"type": "function", "function": {"name": "pay", "description": "", "parameters": {"type": "object", "properties": {"amount": {"minimum": 0.50}}}}}'
  const conversation = await imported(`${asText.slice(0, -1)}, "tools": [${tool}]}`, 'tools.jsonl')
  const chat = createChatTemplate(templates[0]?.[1] as ChatTemplateSource, qwen3)
  const { tokens } = chat.supervised(conversation?.messages ?? [], conversation?.tools ?? [])
  expect(qwen3.decode(tokens)).toContain('"minimum": 0.50')
})
