// Right files of users, each with the function that reads it. A reader that says yes is held to it: what it gave is used.
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parquetWriteFile } from 'hyparquet-writer'
import { loadConfig } from '../../lib/cli/config/config.js'
import { trainSchema } from '../../lib/cli/config/config-schema.js'
import { jsonl, openTasks, Policy, readConversations } from '../../lib/index.js'
import { writeModelFolder } from '../policy/model-folders.js'

export interface Specimen {
  name: string
  /** Files of the folder that is read. */
  files: Record<string, Buffer>
  /** The file that is changed. */
  changed: string
  read(folder: string): Promise<void>
}

const lines = (...values: unknown[]): Buffer =>
  Buffer.from(values.map((value) => `${JSON.stringify(value)}\n`).join(''))

const tasks = lines(
  { id: 'a', prompt: 'Capital of Peru?', answer: 'Lima', metadata: { level: 3 } },
  { id: 'b', messages: [{ role: 'user', content: '17 * 23?' }], answer: 391 },
)
const call = { id: 'c1', type: 'function', function: { name: 'search', arguments: '{"query":"Peru"}' } }
const openAi = lines({
  messages: [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: [{ type: 'text', text: 'Capital of Peru?' }] },
    { role: 'assistant', content: null, tool_calls: [call] },
    { role: 'tool', tool_call_id: 'c1', content: 'Lima' },
    { role: 'assistant', content: 'Lima', weight: 1 },
  ],
  tools: [
    {
      type: 'function',
      function: { name: 'search', description: 'Searches', parameters: { type: 'object' } },
    },
  ],
})
const own = lines({
  messages: [
    { role: 'user', content: 'Capital of Peru?' },
    { role: 'assistant', content: '', toolCalls: [{ name: 'search', arguments: { query: 'Peru' } }] },
    { role: 'tool', name: 'search', content: 'Lima' },
    { role: 'assistant', content: 'Lima', trained: 'all' },
  ],
})
const asText = (value: unknown) => ({ stringValue: JSON.stringify(value) })
const toolCall = { type: 'tool_call', id: 'c', name: 'search', arguments: { query: 'Peru' } }
const span = {
  traceId: '01',
  spanId: '02',
  name: 'chat',
  startTimeUnixNano: '1',
  endTimeUnixNano: '2',
  attributes: [
    { key: 'gen_ai.operation.name', value: { stringValue: 'chat' } },
    {
      key: 'gen_ai.input.messages',
      value: asText([{ role: 'user', parts: [{ type: 'text', content: 'Capital?' }] }]),
    },
    {
      key: 'gen_ai.output.messages',
      value: asText([{ role: 'assistant', parts: [toolCall, { type: 'text', content: 'Lima' }] }]),
    },
  ],
}
const otlp = lines({ resourceSpans: [{ scopeSpans: [{ spans: [span] }] }] })
const config = Buffer.from(`environment: atlas
policy: sft/policy
output: runs/a
algorithm: { name: hdpo, efficiencyWeight: 0.15 }
groupSize: 4
promptsPerStep: 2
steps: 8
rollout: { maxTokens: 96, maxTurns: 3, stop: ["\\n\\n"] }
optimizer: { learningRate: 1.0e-3, schedule: cosine }
evaluate: { every: 4, tasks: 10 }
`)

const reads = (
  name: string,
  changed: string,
  content: Buffer,
  read: (path: string) => Promise<void>,
): Specimen => ({
  name,
  files: { [changed]: content },
  changed,
  read: (folder) => read(join(folder, changed)),
})

/** All specimens. */
export async function fileSpecimens(): Promise<Specimen[]> {
  return [
    reads('tasks in memory', 'tasks.jsonl', tasks, async (path) => {
      JSON.stringify(await jsonl(path))
    }),
    reads('tasks', 'tasks.jsonl', tasks, openAll),
    reads('tasks in Parquet', 'tasks.parquet', await parquet(), openAll),
    reads('conversations of OpenAI', 'log.jsonl', openAi, importAll),
    reads('conversations', 'log.jsonl', own, importAll),
    reads('traces', 'trace.jsonl', otlp, importAll),
    reads('config', 'train.yaml', config, readConfig),
    ...(await policySpecimens()),
  ]
}

async function openAll(path: string): Promise<void> {
  const opened = await openTasks(path)
  try {
    for (let index = 0; index < opened.length; index++) JSON.stringify(await opened.at(index))
  } finally {
    await opened.close()
  }
}

async function importAll(path: string): Promise<void> {
  const { conversations } = await readConversations(path)
  JSON.stringify(conversations)
}

async function readConfig(path: string): Promise<void> {
  await loadConfig(path, trainSchema)
}

async function parquet(): Promise<Buffer> {
  return inFolder(async (folder) => {
    const filename = join(folder, 'tasks.parquet')
    await parquetWriteFile({
      filename,
      columnData: [
        { name: 'prompt', data: ['Capital of Peru?', '17 * 23?', 'Area of Kenya?'], type: 'STRING' },
        { name: 'answer', data: ['Lima', '391', null], type: 'STRING' },
        { name: 'level', data: [1, 2, 3], type: 'INT32' },
      ],
    })
    return readFile(filename)
  })
}

/** Every file of a policy's folder in turn. */
async function policySpecimens(): Promise<Specimen[]> {
  const files = await inFolder(async (folder) => {
    await writeModelFolder(folder, { generationConfig: { temperature: 0.7, eos_token_id: [2045, 2046] } })
    const names = await readdir(folder)
    return Object.fromEntries(
      await Promise.all(names.map(async (name) => [name, await readFile(join(folder, name))] as const)),
    )
  })
  return Object.keys(files).map((changed) => ({
    name: `policy, ${changed}`,
    files,
    changed,
    read: loadPolicy,
  }))
}

async function loadPolicy(folder: string): Promise<void> {
  const policy = await Policy.load(folder, { threads: 1 })
  try {
    const tokens = Int32Array.from(
      policy.template.prompt([{ role: 'user', content: 'Peru <|im_end|> é 7' }], []),
    )
    await policy.logprobs(tokens, Int32Array.of(0, tokens.length))
    policy.tokenizer.decode(tokens)
  } finally {
    await policy.close()
  }
}

async function inFolder<Result>(use: (folder: string) => Promise<Result>): Promise<Result> {
  const folder = await mkdtemp(join(tmpdir(), 'hdpo-fuzz-'))
  try {
    return await use(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
