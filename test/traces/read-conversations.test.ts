import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readConversations } from '../../lib/traces/read-conversations.js'
import { refuses } from '../core/wrong-options.js'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hdpo-traces-'))
})
afterAll(() => rm(folder, { recursive: true }))

async function write(name: string, ...values: unknown[]): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, values.map((value) => JSON.stringify(value)).join('\n'))
  return path
}

const own = {
  messages: [
    { role: 'user', content: 'q' },
    { role: 'assistant', content: 'a', trained: 'first' },
  ],
}
const openAi = {
  messages: [
    { role: 'user', content: 'q' },
    { role: 'assistant', tool_calls: [{ id: 'c', function: { name: 't', arguments: '{}' } }] },
    { role: 'tool', tool_call_id: 'c', content: 'r' },
    { role: 'assistant', content: 'a' },
  ],
}
const useless = { messages: [{ role: 'user', content: [] }] }
const flat = (key: string, value: string) => ({ key, value: { stringValue: value } })
const otlp = {
  resourceSpans: [
    {
      scopeSpans: [
        {
          spans: [
            {
              attributes: [
                flat('gen_ai.prompt.0.role', 'user'),
                flat('gen_ai.prompt.0.content', 'q'),
                flat('gen_ai.completion.0.content', 'a'),
              ],
            },
          ],
        },
      ],
    },
  ],
}

it('tells the formats apart, line by line, and leaves its own as they are', async () => {
  const { conversations, skipped } = await readConversations(
    await write('mixed.jsonl', own, openAi, otlp, useless),
  )
  expect(conversations[0]).toEqual({ ...own, source: `${join(folder, 'mixed.jsonl')}:1` })
  expect(conversations[1]?.messages.at(-1)).toEqual({ role: 'assistant', content: '<answer>a</answer>' })
  expect(conversations[2]?.messages.at(-1)).toEqual({ role: 'assistant', content: '<answer>a</answer>' })
  expect(skipped).toEqual([{ where: join(folder, 'mixed.jsonl:4'), reason: 'has no assistant message' }])
})

it('takes the format it is told', async () => {
  const path = await write('plain.jsonl', own)
  const { conversations } = await readConversations(path, { format: 'openai', answerTags: 'keep' })
  expect(conversations[0]?.messages.at(-1)).toEqual({ role: 'assistant', content: 'a', trained: 'first' })
})

it('reads one JSON file: an export, or a list', async () => {
  expect((await readConversations(await write('export.json', otlp))).conversations).toHaveLength(1)
  expect((await readConversations(await write('list.json', [own, openAi]))).conversations).toHaveLength(2)
})

it('names what cannot be read', async () => {
  const path = await write('bad.jsonl', own, { message: [] })
  const { conversations, skipped } = await readConversations(path)
  expect(conversations).toHaveLength(1)
  expect(skipped).toEqual([
    { where: `${path}:2`, reason: 'messages: must be a list of at least one message, got undefined' },
  ])
  const nothing = await write('nothing.jsonl', useless)
  await expect(readConversations(nothing)).rejects.toThrow(
    'nothing.jsonl: has no conversation to train on; 1 cannot be used, the first',
  )
  await expect(readConversations(join(folder, 'absent.json'))).rejects.toThrow(/cannot read .*absent\.json/)
})

describe('options', () => {
  refuses(
    (options) => readConversations('absent.jsonl', options),
    [
      [{ format: 'xml' }, "readConversations.format: must be one of auto, hdpo, openai, otlp, got 'xml'"],
      [{ answerTags: true }, 'readConversations.answerTags: must be one of add, keep, got true'],
    ],
  )
})
