import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { jsonl } from '../../lib/tasks/jsonl.js'

const folder = mkdtempSync(join(tmpdir(), 'hdpo-jsonl-'))
afterAll(() => rmSync(folder, { recursive: true }))

function load(...lines: string[]) {
  const path = join(folder, 'tasks.jsonl')
  writeFileSync(path, lines.join('\n'))
  return jsonl(path)
}

describe('jsonl', () => {
  it.each([null, ''])(
    'keeps the calls of a question that has had some, beside content %j',
    async (content) => {
      const made = (id: string, sku: string) => ({
        id,
        type: 'function',
        function: { name: 'stock', arguments: JSON.stringify({ sku }) },
      })
      const messages = [
        { role: 'developer', content: [{ type: 'text', text: 'Be brief.' }] },
        { role: 'user', content: 'Units of A7 and B2?' },
        {
          role: 'assistant',
          content,
          reasoning_content: 'Look.',
          tool_calls: [made('a', 'A7'), made('b', 'B2')],
        },
        { role: 'tool', tool_call_id: 'b', content: '20' },
        { role: 'tool', tool_call_id: 'a', content: '7' },
        { role: 'user', content: 'Together?' },
      ]
      const [task] = await load(JSON.stringify({ messages, answer: 27 }))
      expect(task?.messages).toEqual([
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'Units of A7 and B2?' },
        {
          role: 'assistant',
          content: '',
          thought: 'Look.',
          toolCalls: [
            { name: 'stock', arguments: { sku: 'A7' }, id: 'a' },
            { name: 'stock', arguments: { sku: 'B2' }, id: 'b' },
          ],
        },
        { role: 'tool', content: '7', name: 'stock', callId: 'a' },
        { role: 'tool', content: '20', name: 'stock', callId: 'b' },
        { role: 'user', content: 'Together?' },
      ])
    },
  )

  it('reads questions, prompts and messages, and skips empty lines', async () => {
    const messages = [
      { role: 'system', content: 's' },
      { role: 'user', content: 'q' },
    ]
    const tasks = await load(
      '{"question": "one?", "answer": 1}',
      '',
      '{"prompt": "two?", "answer": "2", "id": "second", "metadata": {"family": "x"}}\r',
      JSON.stringify({ messages, answer: ['a', 'b'], id: 3 }),
      '',
    )
    expect(tasks).toEqual([
      { id: 'line-1', messages: [{ role: 'user', content: 'one?' }], answer: 1 },
      { id: 'second', messages: [{ role: 'user', content: 'two?' }], answer: '2', metadata: { family: 'x' } },
      { id: '3', messages, answer: ['a', 'b'] },
    ])
  })

  it.each([
    ['{"question": "q"}', '"answer" is missing'],
    ['{"answer": 1}', 'exactly one of question, prompt, messages is needed, got none'],
    ['{"question": "q", "prompt": "p", "answer": 1}', 'got question and prompt'],
    ['{"question": 5, "answer": 1}', '"question" must be text, got 5'],
    ['{"messages": [], "answer": 1}', 'messages: must be a list of at least one message, got []'],
    [
      '{"messages": [{"role": "robot", "content": "x"}], "answer": 1}',
      'messages[0].role: must be system, developer, user, assistant or tool, got ',
    ],
    ['{"question": "q", "answer": 1, "anwser": 2}', 'unknown key "anwser"'],
    ['{"question": "q", "answer": 1, "id": {}}', '"id" must be a string or a number'],
    ['{"question": "q", "answer": 1, "metadata": 1}', '"metadata" must be an object'],
    ['[1]', 'must hold an object, got [1]'],
    ['{"question"', 'not JSON'],
  ])('names file and line of %s', async (line, message) => {
    const loading = load('{"question": "q", "answer": 1}', line)
    await expect(loading).rejects.toThrow('tasks.jsonl:2: ')
    await expect(loading).rejects.toThrow(message)
  })

  it('refuses an id that comes twice, an empty file and no file', async () => {
    const line = '{"question": "q", "answer": 1, "id": "a"}'
    await expect(load(line, line)).rejects.toThrow('tasks.jsonl:2: id "a" is that of line 1 too')
    await expect(load('', '')).rejects.toThrow('has no tasks')
    await expect(jsonl(join(folder, 'absent.jsonl'))).rejects.toThrow(/cannot read .*absent\.jsonl/)
  })

  it('lets the event loop go on while it reads a large file, and stops with its signal', async () => {
    const path = join(folder, 'large.jsonl')
    const line = JSON.stringify({ question: 'q'.repeat(1000), answer: 1 })
    writeFileSync(path, `${line}\n`.repeat(20_000))
    let turns = 0
    const counter = setInterval(() => turns++, 0)
    const tasks = await jsonl(path).finally(() => clearInterval(counter))
    expect(tasks).toHaveLength(20_000)
    expect(turns).toBeGreaterThan(10)

    const stopping = new AbortController()
    const reading = jsonl(path, { signal: stopping.signal })
    setImmediate(() => stopping.abort(new Error('enough')))
    await expect(reading).rejects.toThrow('enough')
  })
})
