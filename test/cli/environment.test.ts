import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import {
  closeEnvironment,
  loadEnvironment,
  resolveConversations,
  resolveEnvironment,
  resolveTools,
} from '../../lib/cli/config/environment.js'
import { redact } from '../../lib/core/redact.js'
import type { Rollout, Task } from '../../lib/rollout/types.js'
import { takeTasks } from '../../lib/tasks/task-list.js'
import type { Tool } from '../../lib/tools/types.js'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hdpo-environment-'))
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const context = () => ({ seed: 3, folder })
const write = (name: string, text: string) => writeFile(join(folder, name), text)

const module = `
  const echo = { name: 'echo', description: '', parameters: {}, validate: (input) => input, run: (input) => input }
  export default ({ seed }) => ({
    tools: [echo],
    tasks: [{ id: 'one', messages: [{ role: 'user', content: 'seed ' + seed }], answer: seed }],
    reward: { answer: () => true },
  })`

describe('resolveEnvironment', () => {
  it('reads tasks from JSONL and tools by name', async () => {
    await write('questions.jsonl', '{"question": "1 + 1", "answer": 2}\n')
    const environment = await resolveEnvironment(
      { tasks: 'questions.jsonl', tools: ['calculator'] },
      context(),
    )
    expect(await takeTasks(environment.tasks)).toMatchObject([
      { messages: [{ role: 'user', content: '1 + 1' }], answer: 2 },
    ])
    await closeEnvironment(environment)
    expect(environment.tools.map((tool) => tool.name)).toEqual(['calculator'])
    expect(environment.reward.answer).toBeTypeOf('function')
  })

  it('reads columns of a data set, split in two', async () => {
    const lines = Array.from({ length: 200 }, (_, index) =>
      JSON.stringify({ prompt: `q ${index}`, gold: index, more: 1 }),
    )
    await write('data.jsonl', lines.join('\n'))
    const environment = await resolveEnvironment(
      { tasks: { path: 'data.jsonl', columns: { question: 'prompt', answer: 'gold' }, heldOutShare: 0.2 } },
      context(),
    )
    const [train, heldOut] = [environment.tasks.length, environment.heldOutTasks?.length ?? 0]
    expect(train + heldOut).toBe(200)
    expect(heldOut).toBeGreaterThan(20)
    expect(heldOut).toBeLessThan(60)
    await closeEnvironment(environment)
  })

  it('takes secrets from the variables that a config names', async () => {
    vi.stubEnv('PLAIN_NAME', 'not-for-anybody')
    await resolveEnvironment({ environment: 'atlas', secrets: ['PLAIN_NAME'] }, context())
    expect(redact('is not-for-anybody')).toBe('is [redacted]')
    vi.unstubAllEnvs()
    await expect(
      resolveEnvironment({ environment: 'atlas', secrets: ['ABSENT'] }, context()),
    ).rejects.toThrow("secrets: must be names of variables that the environment has, got 'ABSENT'")
  })

  it('calls the function that a module exports with the seed', async () => {
    await write('mine.js', module)
    const environment = await resolveEnvironment({ environment: './mine.js' }, context())
    expect(environment.tasks).toMatchObject([{ id: 'one', answer: 3 }])
    expect(environment.tools.map((tool) => tool.name)).toEqual(['echo'])
  })

  it('has atlas built in', async () => {
    const atlas = await resolveEnvironment({ environment: 'atlas' }, context())
    expect(atlas.tasks.length).toBeGreaterThan(100)
    expect(atlas.heldOutTasks?.length).toBeGreaterThan(100)
    expect(atlas.tools.map((tool) => tool.name)).toEqual(['search', 'calculator'])
  })

  it('wants to know where the questions come from', async () => {
    await expect(resolveEnvironment({}, context())).rejects.toThrow('environment or tasks must be given')
  })
})

describe('environmentSettings', () => {
  it('make training grade wrongly, and evaluation not', async () => {
    const environment = await resolveEnvironment(
      { environment: 'atlas', environmentSettings: { answerNoise: 1 } },
      context(),
    )
    const task = (await takeTasks(environment.tasks, 1))[0] as Task
    const rollout = {
      id: 'r',
      taskId: task.id,
      finalAnswer: String(task.answer),
      tokens: new Int32Array(),
      logprobs: new Float32Array(),
    } as Rollout
    expect(await environment.reward.answer(rollout, task)).toBe(0)
    expect(await environment.evaluationReward?.answer(rollout, task)).toBe(true)
    // A reward that the config names grades both.
    const own = await resolveEnvironment(
      { environment: 'atlas', environmentSettings: { answerNoise: 1 }, reward: { answer: 'exact-match' } },
      context(),
    )
    expect(own.evaluationReward).toBeUndefined()
    expect(await own.reward.answer(rollout, task)).toBe(true)
  })

  it('are checked, and belong to an environment', async () => {
    await expect(
      resolveEnvironment({ environment: 'atlas', environmentSettings: { answerNois: 0.1 } }, context()),
    ).rejects.toThrow(
      'environmentSettings: answerNois: must be left out (there is no such option; did you mean answerNoise?), got 0.1',
    )
    await expect(resolveEnvironment({ tasks: [], environmentSettings: {} }, context())).rejects.toThrow(
      'environmentSettings needs environment',
    )
  })

  it('reach a module', async () => {
    await write(
      'settings.js',
      `export default ({ seed, settings }) => ({ tools: [], reward: { answer: () => true },
        tasks: [{ id: settings.name, messages: [], answer: seed }] })`,
    )
    const environment = await resolveEnvironment(
      { environment: './settings.js', environmentSettings: { name: 'mine' } },
      context(),
    )
    expect(environment.tasks.at(0)).toMatchObject({ id: 'mine' })
  })
})

it('names what is wrong with an environment', async () => {
  await expect(loadEnvironment('atlass', context())).rejects.toThrow(
    'environment must be atlas, cities or the path',
  )
  await write('empty.js', 'export default {}')
  await expect(loadEnvironment('./empty.js', context())).rejects.toThrow(
    'environment ./empty.js: tools: must be a list of tools with different names',
  )
})

it('starts the sandboxed tools by name', async () => {
  const tools = await resolveTools(['calculator', 'javascript'], folder)
  expect(tools.map(({ name }) => name)).toEqual(['calculator', 'javascript'])
  const { run } = tools[1] as Tool
  const context = { signal: new AbortController().signal, rolloutId: 'r' }
  expect(await run({ code: '6 * 7' }, context)).toBe('42')
  await closeEnvironment({ tools, tasks: [], reward: { answer: () => true } })
  await expect(async () => run({ code: '1' }, context)).rejects.toThrow('the sandbox is closed')
})

it('suggests a built-in tool', async () => {
  await expect(resolveTools(['calculater'], folder)).rejects.toThrow(
    'there is no tool "calculater"; did you mean calculator?',
  )
})

it("takes the AI SDK's tools of a module, and refuses what are no tools", async () => {
  const run = "{ description: 'd', inputSchema: { jsonSchema: { type: 'object' } }, execute: () => 'found' }"
  await write('tools.js', `const tools = { search: ${run} }\nexport { tools as default }`)
  const tools = await resolveTools(['./tools.js'], folder)
  expect(tools.map(({ name }) => name)).toEqual(['search'])
  await expect(resolveTools(['./tools.js', './tools.js'], folder)).rejects.toThrow(
    'tools: two are named "search"; give them different names',
  )
  await write('others.js', 'export default { search: () => 1 }')
  await expect(resolveTools(['./others.js'], folder)).rejects.toThrow(
    'tools: the default export of ./others.js: must be a tool of defineTool',
  )
})

it('leaves out lines that cannot be read, and names them', async () => {
  const whole = '{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}'
  await write('conversations.jsonl', `${whole}\n\n{"message": []}\n{"messages":\n${whole}\n[]\n3\n`)
  const warnings: string[] = []
  const read = await resolveConversations('conversations.jsonl', folder, (text) => warnings.push(text))
  const path = join(folder, 'conversations.jsonl')
  expect(read.map(({ source }) => source)).toEqual([`${path}:1`, `${path}:5`])
  expect(warnings).toHaveLength(1)
  expect(warnings[0]).toMatch(
    /4 of 6 conversations were left out: .*:4: .*; .*:3: .*messages.*; .*:6: .*; \.\.\.$/,
  )
  await write('bad.jsonl', '{"messages":\n')
  await expect(resolveConversations('bad.jsonl', folder, () => {})).rejects.toThrow(
    /has no conversation to train on; 1 cannot be used, the first \(.*bad\.jsonl:1\): /,
  )
})

it('imports conversations of other formats, and says what was left out', async () => {
  const openAi = {
    messages: [
      { role: 'user', content: [{ type: 'text', text: 'q' }] },
      { role: 'assistant', content: 'a' },
    ],
  }
  await write(
    'openai.jsonl',
    `${JSON.stringify(openAi)}\n{"messages": [{"role": "developer", "content": "x"}]}\n`,
  )
  const warnings: string[] = []
  const source = { path: 'openai.jsonl', answerTags: 'keep' as const }
  expect(await resolveConversations(source, folder, (message) => warnings.push(message))).toEqual([
    {
      messages: [
        { role: 'user', content: 'q' },
        { role: 'assistant', content: 'a' },
      ],
      source: `${join(folder, 'openai.jsonl')}:1`,
    },
  ])
  expect(warnings).toEqual([
    expect.stringMatching(/^openai\.jsonl: 1 of 2 conversations were left out: .*:2: has no assistant/),
  ])
})
