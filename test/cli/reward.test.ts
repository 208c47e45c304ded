import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { RewardConfig } from '../../lib/cli/config/data-schema.js'
import { resolveReward } from '../../lib/cli/config/reward.js'
import type { Rollout, Task } from '../../lib/rollout/types.js'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hdpo-reward-'))
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
  await writeFile(join(folder, 'mine.js'), 'export default ({ finalAnswer }) => finalAnswer === "mine"')
  await writeFile(join(folder, 'broken.js'), 'export default 5')
})
afterAll(() => rm(folder, { recursive: true }))

const task = (answer: unknown): Task => ({ id: 'q', messages: [], answer })
const given = (finalAnswer: string) => ({ finalAnswer }) as Rollout

describe('resolveReward', () => {
  it.each<[RewardConfig, unknown, string, boolean]>([
    [{ answer: 'exact-match' }, 'Paris', 'paris', true],
    [{ answer: 'numeric-match', absoluteTolerance: 1 }, 10, '10.9', true],
    [{ answer: 'numeric-match' }, 10, '10.9', false],
    [{ answer: 'regex-match', pattern: 'par', whole: false }, null, 'Paris', true],
    [{ answer: 'json-schema-match', schema: { type: 'number' } }, null, '5', true],
    [{ answer: 'mine.js' }, null, 'mine', true],
    [{ answer: ({ finalAnswer }) => finalAnswer === 'x' }, null, 'x', true],
  ])('%j', async (config, answer, text, right) => {
    const { answer: reward } = await resolveReward(config, folder)
    expect(await reward?.(given(text), task(answer))).toBe(right)
  })

  it('leaves grading to the environment where no rule is named', async () => {
    expect(await resolveReward({ answerWeight: 2 }, folder)).toEqual({ answerWeight: 2 })
    expect(await resolveReward(undefined, folder)).toEqual({})
  })

  it('makes a judge', async () => {
    const judge = { baseURL: 'http://127.0.0.1:1/v1', model: 'm', cacheFolder: 'cache', rubric: 'strict' }
    const { answer } = await resolveReward({ answer: 'llm-judge', judge }, folder)
    expect(answer?.report?.()).toMatchObject({ asked: 0 })
  })

  it.each<[RewardConfig, string]>([
    [{ answer: 'llm-judge' }, 'reward.judge must be given with llm-judge'],
    [
      { answer: 'exact-match', pattern: 'x' },
      'reward.pattern belongs to answer: regex-match, got answer: exact-match',
    ],
    [{ absoluteTolerance: 1 }, 'reward.absoluteTolerance belongs to answer: numeric-match, got answer: none'],
    [{ answer: 'broken.js' }, 'the default export of broken.js must be a function, got number'],
  ])('refuses %j', async (config, message) => {
    await expect(resolveReward(config, folder)).rejects.toThrow(message)
  })
})
