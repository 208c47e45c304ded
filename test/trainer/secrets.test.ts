// A run with a secret everywhere: in the tool's result, its error, the judge's error, the task, the config, a warning.
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { ungraded } from '../../lib/rewards/rewards.js'
import type { Task } from '../../lib/rollout/types.js'
import type { Tool } from '../../lib/tools/types.js'
import { Trainer } from '../../lib/trainer/trainer.js'
import { lookup, tasks } from './scripted-environment.js'
import { ScriptedPolicy } from './scripted-policy.js'

const secret = 'swordfish-1234567'
let folder: string
beforeEach(async () => {
  vi.stubEnv('SEARCH_API_KEY', secret)
  folder = await mkdtemp(join(tmpdir(), 'hdpo-secrets-'))
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await rm(folder, { recursive: true, force: true })
})

/** All texts of the folder, and what the tokens of its rollouts spell. */
async function everythingIn(path: string): Promise<string[]> {
  const files = (await readdir(path, { recursive: true, withFileTypes: true })).filter((entry) =>
    entry.isFile(),
  )
  const texts = await Promise.all(files.map((file) => readFile(join(file.parentPath, file.name), 'utf8')))
  const rollouts = texts
    .filter((_, index) => files[index]?.parentPath.endsWith('rollouts'))
    .flatMap((text) => text.trim().split('\n'))
  const spelt = rollouts.map((line) =>
    String.fromCharCode(...((JSON.parse(line).tokens as number[] | undefined) ?? [])),
  )
  return [...files.map(({ name }) => name), ...texts, ...spelt]
}

it('keeps secrets out of the run folder, tokens included', async () => {
  let calls = 0
  const leaky: Tool = {
    ...lookup,
    run: () => {
      if (++calls % 2 === 0) throw new Error(`HTTP 401 for key ${secret}`)
      return { url: `https://search?key=${encodeURIComponent(secret)}` }
    },
  }
  const policy = new ScriptedPolicy()
  policy.say = (conversation) =>
    conversation.includes('tool:')
      ? '<answer>42</answer>'
      : '<tool_call>{"name": "lookup", "arguments": {}}</tool_call>'
  const [plain, leaking] = tasks(2) as [Task, Task]
  const asked: Task[] = [plain, { ...leaking, messages: [{ role: 'user', content: `use ${secret}` }] }]
  const trainer = new Trainer({
    policy,
    tasks: asked,
    tools: [leaky],
    reward: { answer: ({ id }) => (id.endsWith('#0') ? ungraded(`HTTP 401: ${secret}`) : true) },
    algorithm: { name: 'hdpo' },
    groupSize: 4,
    promptsPerStep: 2,
    steps: 1,
    optimizer: { learningRate: 0.001 },
    output: folder,
    config: { judge: { headers: { authorization: `Bearer ${secret}` } }, note: secret },
    onWarning: (message) => expect(message).not.toContain(secret),
  })
  for await (const _ of trainer.run()) {
    // One step.
  }
  const found = await everythingIn(folder)
  expect(found).toEqual(
    expect.arrayContaining(['config.yaml', 'events.jsonl', 'metrics.jsonl', 'step-000001.jsonl']),
  )
  expect(found.filter((text) => text.includes(secret))).toEqual([])
  // The rollouts whose question is clean keep their tokens: the tool's result was redacted before it was read.
  const lines = (await readFile(join(folder, 'rollouts', 'step-000001.jsonl'), 'utf8')).trim().split('\n')
  const withTokens = lines.map((line) => JSON.parse(line)).filter(({ tokens }) => tokens !== undefined)
  expect(withTokens.map(({ taskId }) => taskId)).toEqual(Array(4).fill(plain.id))
})
