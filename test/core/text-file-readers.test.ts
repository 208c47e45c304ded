// Every file of a user goes through the one reader of text: a byte order mark is no part of it, and Latin-1 is refused.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { readKnowledge } from '../../lib/cli/commands/eval-output.js'
import { loadConfig } from '../../lib/cli/config/config.js'
import { readModelConfig } from '../../lib/policy/model-config.js'
import { readTemplateSource } from '../../lib/policy/template-files.js'
import { readTokenizerFiles } from '../../lib/policy/tokenizer.js'
import { jsonl } from '../../lib/tasks/jsonl.js'
import { openTasks } from '../../lib/tasks/open-tasks.js'
import { buildTextIndex } from '../../lib/tools/text-search.js'
import { readConversations } from '../../lib/traces/read-conversations.js'

const folder = mkdtempSync(join(tmpdir(), 'hdpo-readers-'))
afterAll(() => rmSync(folder, { recursive: true }))

const task = '{"question": "Grüße?", "answer": "ü"}\n'
const conversation = {
  messages: [
    { role: 'user', content: 'Grüße?' },
    { role: 'assistant', content: 'ü' },
  ],
}
const config = JSON.stringify({
  model_type: 'qwen3',
  vocab_size: 8,
  hidden_size: 8,
  intermediate_size: 8,
  num_hidden_layers: 1,
  num_attention_heads: 1,
  num_key_value_heads: 1,
  head_dim: 8,
  max_position_embeddings: 8,
  rms_norm_eps: 1e-6,
  rope_theta: 10000,
  _name_or_path: 'ü',
})

const readers: [name: string, content: string, read: (path: string) => Promise<unknown>][] = [
  ['tasks.jsonl', task, (path) => jsonl(path)],
  [
    'opened.jsonl',
    task,
    async (path) => {
      const tasks = await openTasks(path)
      const first = await tasks.at(0)
      await tasks.close()
      return first
    },
  ],
  ['c.jsonl', JSON.stringify(conversation), (path) => readConversations(path)],
  ['c.json', JSON.stringify([conversation]), (path) => readConversations(path)],
  ['d.jsonl', '{"text": "Grüße\u2028an"}\n', async (path) => (await buildTextIndex(path)).search('Grüße')],
  ['d.md', '# Grüße\nan alle\n', async (path) => (await buildTextIndex(path)).search('alle')],
  ['d.txt', 'Grüße', async (path) => (await buildTextIndex(path)).search('Grüße')],
  ['config.yaml', 'name: Grüße\n', (path) => loadConfig(path, z.object({ name: z.string() }))],
  [
    'known.json',
    '{"known": {"samples": 1, "rightShare": [["ü", 1]]}}',
    async (path) => [...(await readKnowledge(path)).rightShare],
  ],
  ['config.json', config, () => readModelConfig(folder)],
  ['tokenizer.json', '{"vocab": {"ü": 1}}', async () => readTokenizerFiles(folder).tokenizer],
  [
    'chat_template.jinja',
    'Grüße',
    async () => readTemplateSource({ path: folder, tokenizerConfig: {}, generationConfig: undefined }),
  ],
]

describe.each(readers)('%s', (name, content, read) => {
  const path = join(folder, name)

  it('is the same with a byte order mark and without', async () => {
    writeFileSync(path, content)
    const plain = JSON.stringify(await read(path)).replaceAll(path, '')
    expect(plain).toMatch(/ü/)
    writeFileSync(path, `\u{feff}${content}`)
    expect(JSON.stringify(await read(path)).replaceAll(path, '')).toBe(plain)
  })

  it('is refused in Latin-1 and in UTF-16', async () => {
    writeFileSync(path, Buffer.from(content, 'latin1'))
    const offset = content.indexOf('ü')
    await expect(Promise.resolve(path).then(read)).rejects.toThrow(
      `${path}:1: is not UTF-8: byte 0xFC at offset ${offset}; save it as UTF-8`,
    )
    writeFileSync(path, Buffer.from(`\u{feff}${content}`, 'utf16le'))
    await expect(Promise.resolve(path).then(read)).rejects.toThrow(`${path}: is UTF-16`)
  })
})

it.each(['null', '[]', '5', '"text"'])('refuses %s as the config of a model, by name', async (text) => {
  const path = join(folder, 'config.json')
  writeFileSync(path, text)
  await expect(readModelConfig(folder)).rejects.toThrow(
    `cannot read ${path}: must hold a JSON object, got ${text}`,
  )
})
