import { describe, expect, it } from 'vitest'
import { rewardIdentity } from '../../lib/rewards/reward-identity.js'
import {
  type AnswerReward,
  exactMatch,
  isCorrect,
  jsonSchemaMatch,
  noisyAnswer,
  numericMatch,
  partitionGraded,
  type RewardOptions,
  regexMatch,
  scoreRollouts,
  ungraded,
  verifier,
} from '../../lib/rewards/rewards.js'
import type { Rollout, Task } from '../../lib/rollout/types.js'
import { refuses } from '../core/wrong-options.js'

const task = (answer: unknown): Task => ({ id: 'q1', messages: [], answer })
const rollout = (finalAnswer: string | undefined, wellFormed = true): Rollout => ({
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

const score = async (rollouts: Rollout[], task: Task, options: RewardOptions) =>
  partitionGraded(await scoreRollouts(rollouts, task, options)).graded

describe('exactMatch', () => {
  refuses(exactMatch, [[{ normalize: 'nfc' }, "exactMatch.normalize: must be a function, got 'nfc'"]])

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
    expect(exactMatch()(rollout(given), task(answer))).toBe(right)
  })

  it('takes a normalisation of its own', () => {
    const reward = exactMatch({ normalize: (text) => text.replace(/\W/g, '') })
    expect(reward(rollout('a-b c'), task('abc'))).toBe(true)
    expect(reward(rollout('ABC'), task('abc'))).toBe(false)
  })

  it.each([[undefined], [null], [{}], [[]], [['a', {}]]])('cannot compare with %j', (answer) => {
    expect(() => exactMatch()(rollout('a'), task(answer))).toThrow(
      /^tasks\["q1"\]\.answer: must be text, a number, true, false or a list of them, for exactMatch, got /,
    )
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
    expect(numericMatch()(rollout(given), task(answer))).toBe(right)
  })

  it('takes tolerances, the wider one counting', () => {
    const reward = numericMatch({ relativeTolerance: 0.01, absoluteTolerance: 0.5 })
    expect(reward(rollout('100.9'), task(100))).toBe(true)
    expect(reward(rollout('101.5'), task(100))).toBe(false)
    expect(reward(rollout('1.5'), task(1))).toBe(true)
    expect(reward(rollout('-101'), task(-100))).toBe(true)
  })

  refuses(numericMatch, [
    [{ relativeTolerance: -1 }, 'numericMatch.relativeTolerance: must be at least 0, got -1'],
    [{ absoluteTolerance: '1' }, "numericMatch.absoluteTolerance: must be a number of at least 0, got '1'"],
    [
      { tolerance: 1 },
      'numericMatch.tolerance: must be left out (there is no such option; known: relativeTolerance, absoluteTolerance), got 1',
    ],
  ])
  refuses(
    (answer) => numericMatch()(rollout('1'), task(answer)),
    [
      ['many', `tasks["q1"].answer: must be a finite number, for numericMatch, got 'many'`],
      [Number.NaN, 'tasks["q1"].answer: must be a finite number, for numericMatch, got NaN'],
    ],
  )
})

describe('scoreRollouts', () => {
  it('weighs answer and format', async () => {
    const rollouts = [rollout('5'), rollout('5', false), rollout('4'), rollout(undefined, false)]
    const scored = await score(rollouts, task(5), { answer: exactMatch() })
    expect(scored.map(({ answerReward }) => answerReward)).toEqual([1, 1, 0, 0])
    expect(scored.map(({ formatReward }) => formatReward)).toEqual([1, 0, 1, 0])
    expect(scored.map(({ accuracyReward }) => accuracyReward)).toEqual([1, 0.9, 0.1, 0])
    expect(scored[0]).toMatchObject({ id: 'q1#0', finalAnswer: '5' })
    const [weighed] = await score(rollouts, task(5), {
      answer: exactMatch(),
      answerWeight: 2,
      formatWeight: 0.5,
    })
    expect(weighed?.accuracyReward).toBe(2.5)
  })

  it('takes partial and late answers of a user function; only a full one is correct', async () => {
    const answer = async ({ finalAnswer }: Rollout, { answer }: Task) => {
      await new Promise((resolve) => setTimeout(resolve, 1))
      return finalAnswer === answer ? 1 : 0.5
    }
    const scored = await score([rollout('a'), rollout('b')], task('a'), { answer })
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
    await expect(scoreRollouts([rollout('a')], task('a'), { answer })).rejects.toMatchObject({
      code: 'ERR_REWARD',
      message: `task "q1", rollout "q1#0": the answer reward ${message}`,
    })
  })

  it.each([[2], [-0.1], [Number.NaN], [undefined], ['yes']])('refuses the score %j', async (given) => {
    const answer = () => given as number
    await expect(scoreRollouts([rollout('a')], task('a'), { answer })).rejects.toThrow(
      `task "q1", rollout "q1#0": the answer reward must be true, false, a number from 0 to 1 or ungraded(reason), got ${given}`,
    )
  })

  const answer = exactMatch()
  refuses(
    (reward: RewardOptions) => scoreRollouts([], task('a'), reward),
    [
      [{ answer: 'exact' }, "reward.answer: must be a function, got 'exact'"],
      [{}, 'reward.answer: must be a function, got undefined'],
      [{ answer, answerWeight: -1 }, 'reward.answerWeight: must be at least 0, got -1'],
      [{ answer, formatWeight: Number.NaN }, 'reward.formatWeight: must be at least 0, got NaN'],
      [
        { answer, formatWieght: 1 },
        'reward.formatWieght: must be left out (there is no such option; did you mean formatWeight?), got 1',
      ],
      [undefined, 'reward: must be an object, got undefined'],
    ],
  )

  it('refuses rollouts of another task', async () => {
    const other = { ...rollout('a'), taskId: 'q2' }
    await expect(scoreRollouts([other], task('a'), { answer })).rejects.toThrow('is a rollout of task "q2"')
  })
})

describe('a rollout that could not be graded', () => {
  it('has a reason and no reward, and stays in its place', async () => {
    const answer = ({ finalAnswer }: Rollout) => (finalAnswer === '?' ? ungraded('the judge is down') : true)
    const rollouts = [rollout('a'), { ...rollout('?', false), id: 'q1#1' }, rollout('b')]
    const scored = await scoreRollouts(rollouts, task('a'), { answer })
    expect(scored[1]).toMatchObject({ id: 'q1#1', ungraded: 'the judge is down', formatReward: 0 })
    expect(scored[1]).not.toHaveProperty('answerReward')
    expect(scored[1]).not.toHaveProperty('accuracyReward')
    const parts = partitionGraded(scored)
    expect(parts.graded).toEqual([scored[0], scored[2]])
    expect(parts.ungraded).toEqual([scored[1]])
  })

  it('needs a reason', () => {
    expect(() => ungraded(' ')).toThrow(
      "ungraded.reason: must be text that says why a rollout is not graded, got ' '",
    )
  })
})

describe('verifier', () => {
  it('checks the text of the final answer', async () => {
    const check = verifier(async (answer, { answer: right }) => answer.length === right)
    expect(await check(rollout('abc'), task(3))).toBe(true)
    expect(await check(rollout('ab'), task(3))).toBe(false)
    expect(await check(rollout(undefined), task(0))).toBe(false)
  })

  it('ends the run or leaves the rollout ungraded when the check throws or takes too long', async () => {
    const broken = () => {
      throw new Error('no database')
    }
    const slow = (_: string, __: Task, { signal }: { signal: AbortSignal }) =>
      new Promise<boolean>((resolve) => signal.addEventListener('abort', () => resolve(true)))
    await expect(verifier(broken)(rollout('a'), task('a'))).rejects.toThrow('no database')
    await expect(verifier(slow, { timeout: 5 })(rollout('a'), task('a'))).rejects.toThrow(
      'no verdict within 5 ms',
    )
    const onError = 'ungraded' as const
    const reason = { reason: 'the verifier failed: no database' }
    expect(await verifier(broken, { onError })(rollout('a'), task('a'))).toEqual(reason)
    expect(await verifier(slow, { onError, timeout: 5 })(rollout('a'), task('a'))).toEqual({
      reason: 'the verifier failed: no verdict within 5 ms',
    })
  })

  refuses(verifier, [['x', "verifier.check: must be a function, got 'x'"]])
  refuses(
    (options) => verifier(() => true, options),
    [
      [{ timeout: 0 }, 'verifier.timeout: must be greater than 0 and at most 2147483647, got 0'],
      [{ onError: 'skip' }, "verifier.onError: must be one of throw, ungraded, got 'skip'"],
    ],
  )
})

describe('regexMatch', () => {
  it.each<[string | RegExp | undefined, unknown, string | undefined, boolean]>([
    ['paris|lyon', null, ' Paris ', true],
    ['paris|lyon', null, 'Paris, France', false],
    [/paris/, null, 'Paris', false],
    [/^\d+$/g, null, '12', true],
    [undefined, '1[0-9]', '17', true],
    [undefined, '1[0-9]', '7', false],
    [undefined, '1[0-9]', undefined, false],
  ])('pattern %s, answer %j, given %j: %s', (pattern, answer, given, right) => {
    const reward = regexMatch(pattern === undefined ? {} : { pattern })
    // The reward is asked twice, because a pattern with "g" would remember its position.
    for (let time = 0; time < 2; time++) expect(reward(rollout(given), task(answer))).toBe(right)
  })

  it('takes no longer than the answer is long, whatever the pattern', () => {
    const start = performance.now()
    const answer = `${'a'.repeat(5000)}!`
    for (const pattern of ['(a+)+', '(a|aa)+', /^([a-z]+)*$/, '(.*a){20}'])
      expect(regexMatch({ pattern })(rollout(answer), task(null))).toBe(false)
    expect(performance.now() - start).toBeLessThan(20_000)
  })

  it('has what only the engine of JavaScript knows', () => {
    for (const [pattern, right, wrong] of [
      ['(?!0)\\d+', '10', '01'],
      ['(.)\\1', 'aa', 'ab'],
      [/^b$/m, 'a\nb', 'a\nc'],
    ] as const) {
      const reward = regexMatch({ pattern, whole: typeof pattern === 'string' })
      expect([right, wrong].map((each) => reward(rollout(each), task(null)))).toEqual([true, false])
    }
  })

  it('can look for a part', () => {
    expect(regexMatch({ pattern: 'paris', whole: false })(rollout('In Paris.'), task(null))).toBe(true)
  })

  refuses(regexMatch, [
    [{ pattern: '(' }, "regexMatch.pattern: must be a regular expression that compiles, got '('"],
    [{ pattern: 3 }, 'regexMatch.pattern: must be text or a regular expression, got 3'],
    [{ whole: 'yes' }, "regexMatch.whole: must be true or false, got 'yes'"],
  ])
  refuses(
    (answer) => regexMatch()(rollout('a'), task(answer)),
    [
      ['(', 'tasks["q1"].answer: must be a regular expression that compiles, got \'(\''],
      [3, 'tasks["q1"].answer: must be the source of a regular expression, for regexMatch, got 3'],
    ],
  )
})

describe('jsonSchemaMatch', () => {
  it('takes no longer than the answer is long, whatever the patterns, and tells them apart', () => {
    const schema = {
      type: 'object',
      properties: { a: { type: 'string', pattern: '^(a+)+$' }, b: { type: 'string', pattern: '^(?!b)' } },
    }
    const reward = jsonSchemaMatch({ schema })
    const start = performance.now()
    const given = [{ a: 'aa', b: 'c' }, { a: `${'a'.repeat(5000)}!` }, { b: 'b' }].map((value) =>
      JSON.stringify(value),
    )
    expect(given.map((each) => reward(rollout(each), task(null)))).toEqual([true, false, false])
    expect(performance.now() - start).toBeLessThan(20_000)
  })

  const schema = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] }
  it.each<[string | undefined, boolean]>([
    ['{"city": "Paris"}', true],
    ['```json\n{"city": "Paris"}\n```', true],
    ['```json {"city": "Paris"} ```', true],
    ['```{"city": "Paris"}```', true],
    ['```json\n{"city": "Paris"}\n``` and more', false],
    ['{"city": 5}', false],
    ['{}', false],
    ['null', false],
    ['Paris', false],
    [undefined, false],
  ])('%j: %s', (given, right) => {
    expect(jsonSchemaMatch({ schema })(rollout(given), task(null))).toBe(right)
    expect(jsonSchemaMatch()(rollout(given), task(schema))).toBe(right)
  })

  it('can ask for the value of the task too', () => {
    const reward = jsonSchemaMatch({ schema, equal: true })
    expect(reward(rollout('{ "city":"Paris" }'), task({ city: 'Paris' }))).toBe(true)
    expect(reward(rollout('{"city": "Lyon"}'), task({ city: 'Paris' }))).toBe(false)
  })

  refuses(jsonSchemaMatch, [
    [
      { schema: { type: 'thing' } },
      'jsonSchemaMatch.schema: must be a valid JSON Schema, got one that is none: schema is invalid: data/type must be equal to one of the allowed values, data/type must be array, data/type must match a schema in anyOf',
    ],
    [{ schema: 'x' }, "jsonSchemaMatch.schema: must be a JSON Schema, got 'x'"],
    [
      { equal: true },
      'jsonSchemaMatch.equal: must be false where there is no schema (the value is compared with the answer then), got true',
    ],
  ])
  refuses(
    (answer) => jsonSchemaMatch()(rollout('1'), task(answer)),
    [['x', `tasks["q1"].answer: must be a JSON Schema, for jsonSchemaMatch, got 'x'`]],
  )
})

describe('a rule of hdpo says what it grades by, for runs that are resumed', () => {
  const identity = (answer: AnswerReward) => rewardIdentity({ answer }).answer
  it.each<[string, AnswerReward, AnswerReward]>([
    ['regex-match', regexMatch({ pattern: /a/ }), regexMatch({ pattern: /b/ })],
    ['numeric-match', numericMatch(), numericMatch({ absoluteTolerance: 1 })],
    ['exact-match', exactMatch(), exactMatch({ normalize: (text) => text })],
    ['json-schema-match', jsonSchemaMatch(), jsonSchemaMatch({ schema: { type: 'string' } })],
    ['verifier', verifier(() => true), verifier(() => false)],
    [
      'noisy-answer',
      noisyAnswer(exactMatch(), { probability: 0.1 }),
      noisyAnswer(exactMatch(), { probability: 0.2 }),
    ],
  ])('%s', (rule, one, other) => {
    expect(identity(one)).toMatchObject({ rule })
    expect(identity(one)).not.toEqual(identity(other))
    expect(JSON.parse(JSON.stringify(identity(one)))).toEqual(identity(one))
  })
})
