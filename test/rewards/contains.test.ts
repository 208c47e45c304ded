import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { addSecretVariables } from '../../lib/core/secrets.js'
import { describeAllWrong } from '../../lib/rewards/all-wrong.js'
import { contains } from '../../lib/rewards/contains.js'
import type { ScoredRollout, Task } from '../../lib/rollout/types.js'

beforeAll(() => void vi.stubEnv('HDPO_TEST_CONTAINS', 'not-for-anybody'))
afterAll(() => void vi.unstubAllEnvs())

const task = (answer: unknown): Task => ({ id: 'q', messages: [{ role: 'user', content: '?' }], answer })
const grade = (finalAnswer: string | undefined, answer: unknown) =>
  contains()({ finalAnswer } as never, task(answer))

it.each<[string, unknown, boolean]>([
  ['Sure! It is 30  Days.', '30 days', true],
  ['It is 30 days.', 30, true],
  ['30', '3', false],
  ['130', '30', false],
  ['1.3', '3', false],
  ['1.3', '1', false],
  ['1,300', '300', false],
  ['1,300', '1', false],
  ['it is -3', '3', false],
  ['it is .3', '3', false],
  ['3-5 days', '5', true],
  ['3, 5', '3', true],
  ['That is 5.', '5', true],
  ['5%', '5', true],
  ['unhappy', 'happy', false],
  ['happily', 'happy', false],
  ['Née Curie', 'née curie', true],
  ['cafe\u0301 noir', 'café', true],
  ['C++ (of course)', 'c++', true],
  ['a.b', 'a+b', false],
  ['It is a well-known plan.', 'well-known', true],
  ['on 2024-01-05.', '2024-01-05', true],
  ['it is -3', -3, true],
  ['it is 3', '-3', false],
  ['Lima or Quito', ['Cusco', 'Quito'], true],
  ['yes, true', true, true],
  ['', 'x', false],
])('%j contains %j: %s', (answer, gold, right) => {
  expect(grade(answer, gold)).toBe(right)
})

it('no answer is wrong, and golds that everything has are refused before anything is asked', () => {
  expect(grade(undefined, 'x')).toBe(false)
  for (const gold of ['', ' ', '!', null, {}, []])
    expect(() => contains().check?.(task(gold))).toThrow('contains')
  expect(contains().check?.(task('x'))).toBeUndefined()
})

const rollout = (finalAnswer: string | undefined, accuracyReward: number) =>
  ({ taskId: 'q', finalAnswer, answerReward: accuracyReward, accuracyReward }) as ScoredRollout

it('shows one wrong answer beside its gold where none is right', async () => {
  const tell = (...rollouts: ScoredRollout[]) => describeAllWrong([rollouts], () => task('30 days'))
  expect(await tell(rollout(undefined, 0), rollout('Sure! It is 30 days.', 0))).toBe(
    'none of 2 answers is right: q was answered "Sure! It is 30 days.", where the task has "30 days". ' +
      'Prose is graded by contains, a pattern of it by regex-match, meaning by llm-judge (docs/rewards.md)',
  )
  expect(await tell(rollout(undefined, 0))).toContain('none has an answer between <answer> and </answer>')
  expect(await tell(rollout('x', 0), rollout('30 days', 1))).toBeUndefined()
  expect(await describeAllWrong([[]], () => undefined)).toBeUndefined()
})

it('shows no secret of an answer', async () => {
  addSecretVariables(['HDPO_TEST_CONTAINS'])
  const text = await describeAllWrong([[rollout('it is not-for-anybody', 0)]], () => task('x'))
  expect(text).toContain('q was answered "it is [redacted]"')
})
