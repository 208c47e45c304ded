// A run goes on after the records that it has written, and after no others.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { exactMatch } from '../../lib/rewards/rewards.js'
import { Trainer } from '../../lib/trainer/trainer.js'
import { lookup, tasks } from './scripted-environment.js'
import { ScriptedPolicy } from './scripted-policy.js'

let folder: string
const warnings: string[] = []
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hdpo-records-'))
  warnings.length = 0
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const path = (name: string) => join(folder, 'run', name)
const changed = (name: string, change: (text: string) => string) =>
  writeFileSync(path(name), change(readFileSync(path(name), 'utf8')))
const rollouts = (step: number) => `rollouts/step-00000${step}.jsonl`

/** Takes the steps up to `last` of four, with a checkpoint after each. */
async function takeSteps(last: number, resume = false): Promise<number> {
  const trainer = new Trainer({
    policy: new ScriptedPolicy(),
    tasks: tasks(6),
    tools: [lookup],
    reward: { answer: exactMatch() },
    algorithm: { name: 'hdpo' },
    groupSize: 2,
    promptsPerStep: 2,
    steps: 4,
    optimizer: { learningRate: 0.001 },
    output: join(folder, 'run'),
    checkpointEvery: 1,
    onWarning: (message) => warnings.push(message),
  })
  let taken = 0
  for await (const { step } of trainer.run({ resume })) {
    taken++
    if (step === last) break
  }
  return taken
}

describe('a resumed run', () => {
  it('is refused where a digit of its metrics has changed, and has changed nothing', async () => {
    await takeSteps(2)
    changed('metrics.jsonl', (text) => text.replace('"rollouts":4', '"rollouts":5'))
    const before = readFileSync(path('metrics.jsonl'), 'utf8')
    await expect(takeSteps(4, true)).rejects.toMatchObject({
      code: 'ERR_RUN_FOLDER',
      message: expect.stringMatching(
        /metrics\.jsonl: the lines up to step 2 are not those that were written/,
      ),
    })
    expect(readFileSync(path('metrics.jsonl'), 'utf8')).toBe(before)
  })

  it('goes on where only lines after its checkpoint have changed', async () => {
    await takeSteps(2)
    changed('metrics.jsonl', (text) => `${text}{"step":3,"rollouts":7}\n{"step":4`)
    expect(await takeSteps(4, true)).toBe(2)
    expect(warnings).toEqual([])
  })

  it('names rollouts that have changed, also after it was resumed before, and misses none that were deleted', async () => {
    await takeSteps(2)
    await takeSteps(3, true)
    changed(rollouts(1), (text) => text.replace('"turns":', '"turnz":'))
    rmSync(path(rollouts(2)))
    expect(await takeSteps(4, true)).toBe(1)
    expect(warnings).toEqual([
      expect.stringContaining(`${path(rollouts(1))} is not as it was written (SHA-256)`),
    ])
  })
})
