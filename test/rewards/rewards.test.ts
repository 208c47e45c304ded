import { describe, expect, it } from 'vitest'
import { exactMatch, isCorrect, numericMatch, scoreTrajectories } from '../../lib/rewards/rewards.js'
import type { Task, Trajectory } from '../../lib/rollout/types.js'

const task = (answer: unknown): Task => ({ id: 'q1', messages: [], answer })
const trajectory = (finalAnswer: string | undefined, wellFormed = true): Trajectory => ({
  id: 'q1#0',
  taskId: 'q1',
  tokens: new Int32Array(0),
  mask: new Uint8Array(0),
  logprobs: new Float32Array(0),
  promptTokens: 0,
  messages: [],
  toolCalls: [],
  turns: 1,
  end: 'answer',
  finalAnswer,
  wellFormed,
})

describe('exactMatch', () => {
  it.each<[unknown, string | undefined, boolean]>([
    ['Paris', 'Paris', true],
    ['Paris', '  pARIS\n', true],
    ['New  York', 'new york', true],
    ['Côte', 'Co\u0302te', true],
    ['Paris', 'Paris, France', false],
    ['Paris', '', false],
    ['Paris', undefined, false],
    [42, '42', true],
    [42, '42.0', false],
    [true, 'true', true],
    [['UK', 'United Kingdom'], 'united kingdom', true],
    [['UK', 'United Kingdom'], 'France', false],
  ])('answer %j, given %j: %s', (answer, given, right) => {
    expect(exactMatch()(trajectory(given), task(answer))).toBe(right)
  })

  it('takes a normalisation of its own', () => {
    const reward = exactMatch({ normalize: (text) => text.replace(/\W/g, '') })
    expect(reward(trajectory('a-b c'), task('abc'))).toBe(true)
    expect(reward(trajectory('ABC'), task('abc'))).toBe(false)
  })

  it.each([[undefined], [null], [{}], [[]], [['a', {}]]])('cannot compare with %j', (answer) => {
    expect(() => exactMatch()(trajectory('a'), task(answer))).toThrow(/^task "q1": exactMatch needs/)
  })
})

describe('numericMatch', () => {
  it.each<[unknown, string | undefined, boolean]>([
    [1234.5, '1234.5', true],
    [1234.5, ' 1,234.50 ', true],
    ['1,234.5', '1234.5', true],
    [1000000, '1000000.9', true],
    [1000000, '1000001.1', false],
    [-3, '-3', true],
    [3, '+3.', true],
    [0.001, '1e-3', true],
    [0.5, '.5', true],
    [0, '0', true],
    [0, '0.0000001', false],
    [3, '3 km', false],
    [3, 'three', false],
    [0, '', false],
    [0, '.', false],
    [1234, '12,34', false],
    [3, '0x3', false],
    [3, 'Infinity', false],
    [3, '1e999', false],
    [3, undefined, false],
  ])('answer %j, given %j: %s', (answer, given, right) => {
    expect(numericMatch()(trajectory(given), task(answer))).toBe(right)
  })

  it('takes tolerances, the wider one counting', () => {
    const reward = numericMatch({ relativeTolerance: 0.01, absoluteTolerance: 0.5 })
    expect(reward(trajectory('100.9'), task(100))).toBe(true)
    expect(reward(trajectory('101.5'), task(100))).toBe(false)
    expect(reward(trajectory('1.5'), task(1))).toBe(true)
    expect(reward(trajectory('-101'), task(-100))).toBe(true)
  })

  it('refuses tolerances and answers that are none', () => {
    expect(() => numericMatch({ relativeTolerance: -1 })).toThrow(/^relativeTolerance: must be at least 0/)
    expect(() => numericMatch({ absoluteTolerance: '1' as unknown as number })).toThrow(
      /^absoluteTolerance: must be a number/,
    )
    expect(() => numericMatch()(trajectory('1'), task('many'))).toThrow(
      /^task "q1": numericMatch needs.*"many"/,
    )
    expect(() => numericMatch()(trajectory('1'), task(Number.NaN))).toThrow(/^task "q1"/)
  })
})

describe('scoreTrajectories', () => {
  it('weighs answer and format', async () => {
    const rollouts = [trajectory('5'), trajectory('5', false), trajectory('4'), trajectory(undefined, false)]
    const scored = await scoreTrajectories(rollouts, task(5), { answer: exactMatch() })
    expect(scored.map(({ answerReward }) => answerReward)).toEqual([1, 1, 0, 0])
    expect(scored.map(({ formatReward }) => formatReward)).toEqual([1, 0, 1, 0])
    expect(scored.map(({ accuracyReward }) => accuracyReward)).toEqual([1, 0.9, 0.1, 0])
    expect(scored[0]).toMatchObject({ id: 'q1#0', finalAnswer: '5' })
    const [weighed] = await scoreTrajectories(rollouts, task(5), {
      answer: exactMatch(),
      answerWeight: 2,
      formatWeight: 0.5,
    })
    expect(weighed?.accuracyReward).toBe(2.5)
  })

  it('takes partial and late answers of a user function; only a full one is correct', async () => {
    const answer = async ({ finalAnswer }: Trajectory, { answer }: Task) => {
      await new Promise((resolve) => setTimeout(resolve, 1))
      return finalAnswer === answer ? 1 : 0.5
    }
    const scored = await scoreTrajectories([trajectory('a'), trajectory('b')], task('a'), { answer })
    expect(scored.map(({ accuracyReward }) => accuracyReward)).toEqual([1, 0.55])
    expect(scored.map(isCorrect)).toEqual([true, false])
  })

  it.each<[string, () => never | Promise<never>, string]>([
    [
      'throws',
      () => {
        throw new Error('no judge')
      },
      'failed: no judge',
    ],
    ['rejects', () => Promise.reject(new Error('no judge')), 'failed: no judge'],
    [
      'throws no Error',
      () => {
        throw 'no judge'
      },
      'failed: no judge',
    ],
  ])('names task and rollout where the function %s', async (_, answer, message) => {
    await expect(scoreTrajectories([trajectory('a')], task('a'), { answer })).rejects.toMatchObject({
      code: 'ERR_REWARD',
      message: `task "q1", rollout "q1#0": the answer reward ${message}`,
    })
  })

  it.each([[2], [-0.1], [Number.NaN], [undefined], ['yes']])('refuses the score %j', async (score) => {
    const answer = () => score as number
    await expect(scoreTrajectories([trajectory('a')], task('a'), { answer })).rejects.toThrow(
      `task "q1", rollout "q1#0": the answer reward must be true, false or a number from 0 to 1, got ${score}`,
    )
  })

  it('refuses options and rollouts that do not belong', async () => {
    const answer = exactMatch()
    await expect(scoreTrajectories([], task('a'), { answer: 'exact' as never })).rejects.toThrow(
      /^reward.answer: /,
    )
    await expect(scoreTrajectories([], task('a'), { answer, answerWeight: -1 })).rejects.toThrow(
      /^reward.answerWeight: /,
    )
    await expect(scoreTrajectories([], task('a'), { answer, formatWeight: Number.NaN })).rejects.toThrow(
      /^reward.formatWeight: /,
    )
    const other = { ...trajectory('a'), taskId: 'q2' }
    await expect(scoreTrajectories([other], task('a'), { answer })).rejects.toThrow(
      'is a rollout of task "q2"',
    )
  })
})
