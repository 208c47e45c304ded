// Thoughts that are kept apart from the content, in templates that have a field for them, that write them as text, and that have no form.
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { createChatTemplate } from '../../lib/policy/chat-template.js'
import { namedTemplates } from '../../lib/policy/template-files.js'
import { thoughtForm } from '../../lib/policy/template-thoughts.js'
import { loadTokenizer } from '../../lib/policy/tokenizer.js'
import type { Message } from '../../lib/policy/types.js'
import { publishedTokenizer } from './published-tokenizer.js'

const path = new URL('../../lib/families/atlas/tokenizer.json', import.meta.url)
const tokenizer = loadTokenizer({
  tokenizer: JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>,
})

const template = (content: string) => `
{%- for message in messages %}{{- '<|im_start|>' + message.role + '\\n' }}
{%- if message.role == 'assistant' %}${content}{%- else %}{{- message.content }}{%- endif %}
{{- '<|im_end|>\\n' }}{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}`
const field = template(
  "{%- if message.reasoning_content %}{{- '[' + message.reasoning_content + ']' }}{%- endif %}{{- message.content }}",
)
const inContent = template(
  "{{- message.content.split('</think>')[0] + '</think>' + message.content.split('</think>')[1] }}",
)
const none = template('{{- message.content }}')

const question: Message = { role: 'user', content: 'q' }
const reply: Message = { role: 'assistant', content: 'a', thought: ' Hm.\n' }

describe('a thought that is kept apart', () => {
  it.each([
    ['as a field', field, '[Hm.]a', undefined],
    ['in the content', inContent, '<think>\nHm.\n</think>\n\na', undefined],
    ['not at all', none, 'a', 1],
  ])('is given to the template %s', (_, source, written, dropped) => {
    const chat = createChatTemplate({ template: source, endOfTurn: '<|im_end|>' }, tokenizer)
    const { tokens, mask, droppedThoughts } = chat.supervised([question, reply], [])
    expect(tokenizer.decode(tokens.filter((_, index) => mask[index] === 1))).toBe(`${written}<|im_end|>`)
    expect(droppedThoughts).toBe(dropped)
    expect(chat.writesThoughts).toBe(dropped === undefined)
  })

  const published = publishedTokenizer('qwen3')
  const qwen = loadTokenizer(published)
  const named = namedTemplates(published.config?.chat_template) as { template: string }
  const chatOf = (variables?: Record<string, unknown>) =>
    createChatTemplate({ ...named, ...(variables && { variables }) }, qwen)

  it("is what Qwen3's template trains, instead of an empty one", () => {
    const { tokens, mask } = chatOf().supervised([question, reply], [])
    const trained = qwen.decode(tokens.filter((_, index) => mask[index] === 1))
    expect(trained).toBe('<think>\nHm.\n</think>\n\na<|im_end|>')
  })

  it('is dropped and counted where a variable of the template turns thoughts off', () => {
    const { tokens, mask, droppedThoughts } = chatOf({ enable_thinking: false }).supervised(
      [question, reply],
      [],
    )
    expect(qwen.decode(tokens.filter((_, index) => mask[index] === 1))).toBe('a<|im_end|>')
    expect(droppedThoughts).toBe(1)
  })

  it.each([
    ['{{ message.thinking }}', { field: 'thinking' }],
    ["{{ m['reasoning'] }}", { field: 'reasoning' }],
    ['{% if thinking %}{{ ns.thinking }}{% endif %}', undefined],
  ])('%s', (text, form) => {
    expect(thoughtForm(text)).toEqual(form)
  })
})
