import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { HdpoError } from '../../lib/core/errors.js'
import type { Task } from '../../lib/rollout/types.js'
import { Trainer } from '../../lib/trainer/trainer.js'
import { lookup, rightIf42, tasks } from './scripted-environment.js'
import { ScriptedPolicy } from './scripted-policy.js'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hdpo-check-prompts-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

async function firstStep(policy: ScriptedPolicy, list: Task[], steps = 100) {
  const trainer = new Trainer({
    policy,
    tasks: list,
    tools: [lookup],
    reward: rightIf42,
    algorithm: { name: 'grpo' },
    groupSize: 2,
    promptsPerStep: 1,
    steps,
    optimizer: { learningRate: 0.001 },
    output: folder,
  })
  for await (const step of trainer.run()) return step
  return undefined
}

const [ordinary] = tasks(1) as [Task]
const long = { ...ordinary, id: 'too long', messages: [{ role: 'user' as const, content: 'x'.repeat(5000) }] }

describe('before the first step', () => {
  it('a prompt that is longer than the context is refused by its task, wherever the run comes to it', async () => {
    const policy = new ScriptedPolicy()
    await expect(firstStep(policy, [...tasks(9), long])).rejects.toThrow(
      /^task "too long": must be short enough to leave room for a reply .*, got a prompt of \d+ tokens$/,
    )
    expect(policy.calls).toEqual([])
  })

  it('a template that fails on a task is', async () => {
    const policy = new ScriptedPolicy()
    const { template } = policy
    const prompt: typeof template.prompt = (messages, tools) => {
      if (messages.some(({ content }) => content.includes('xx'))) {
        throw new HdpoError('ERR_CHAT_TEMPLATE', 'the chat template does not render: roles must alternate')
      }
      return template.prompt(messages, tools)
    }
    Object.assign(policy, { template: { ...template, prompt } })
    await expect(firstStep(policy, [ordinary, long])).rejects.toThrow(
      /task "too long": .*roles must alternate/,
    )
    expect(policy.calls).toEqual([])
  })

  it('tasks that the run never comes to are not looked at', async () => {
    expect(await firstStep(new ScriptedPolicy(), tasks(3), 1)).toMatchObject({ step: 1 })
  })
})
