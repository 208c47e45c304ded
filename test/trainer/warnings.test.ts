// Mistakes in a set-up that would otherwise show as zeros alone.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { runGroup } from '../../lib/rollout/group.js'
import { Trainer } from '../../lib/trainer/trainer.js'
import type { TrainerOptions } from '../../lib/trainer/trainer-options.js'
import { lookup, rightIf42, smallTraining } from './scripted-environment.js'
import { ScriptedPolicy } from './scripted-policy.js'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hdpo-warnings-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

async function warningsOf(options: Partial<TrainerOptions>): Promise<string[]> {
  const warnings: string[] = []
  const trainer = new Trainer({
    policy: new ScriptedPolicy(),
    ...smallTraining,
    reward: rightIf42,
    output: join(folder, 'run'),
    onWarning: (text) => warnings.push(text),
    ...options,
  })
  for await (const _ of trainer.run());
  return warnings
}

it('says nothing of a run that is as it should be', async () => {
  expect(await warningsOf({})).toEqual([])
})

it('says once that all calls were of tools that there are not', async () => {
  const warnings = await warningsOf({ tools: [{ ...lookup, name: 'search' }] })
  const unknown = warnings.filter((text) => text.includes('were of tools that there are not'))
  expect(unknown).toEqual([
    expect.stringMatching(
      /^step 1: all \d+ calls were of tools that there are not \("lookup"\); tools: search$/,
    ),
  ])
})

it('shows an answer beside its gold where none of the first step is right', async () => {
  const warnings = await warningsOf({ reward: { answer: () => false } })
  expect(warnings).toEqual([
    expect.stringMatching(/^step 1: none of 8 answers is right: .* was answered "42", where the task has /),
  ])
})

it('leaves agents that run their own tools, and grade themselves, alone', async () => {
  const own: typeof runGroup = (...given) => runGroup(...given)
  expect(await warningsOf({ reward: { answer: () => false }, runGroup: own })).toEqual([])
})
