// Answers that a reward cannot grade by, found before anything is asked.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { curate } from '../../lib/curation/curate.js'
import { evaluate } from '../../lib/evaluation/evaluate.js'
import { checkAnswers } from '../../lib/rewards/check-answers.js'
import {
  type AnswerReward,
  exactMatch,
  jsonSchemaMatch,
  llmJudge,
  noisyAnswer,
  numericMatch,
  regexMatch,
  reportedOutcome,
  verifier,
} from '../../lib/rewards/rewards.js'
import type { Task } from '../../lib/rollout/types.js'
import { jsonl } from '../../lib/tasks/jsonl.js'
import { openTasks } from '../../lib/tasks/open-tasks.js'
import { eachTask } from '../../lib/tasks/task-list.js'
import { Trainer } from '../../lib/trainer/trainer.js'
import { ScriptedPolicy } from '../trainer/scripted-policy.js'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hdpo-answers-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const task = (answer: unknown, id = 't'): Task => ({ id, messages: [{ role: 'user', content: 'q' }], answer })
const judge = { baseURL: 'http://127.0.0.1:9/v1', model: 'm' }

const unusable: [string, AnswerReward, unknown, string][] = [
  ['numericMatch', numericMatch(), '$18.00', 'a finite number'],
  ['numericMatch', numericMatch(), null, 'a finite number'],
  ['numericMatch', numericMatch(), Number.NaN, 'a finite number'],
  ['numericMatch', numericMatch(), [18], 'a finite number'],
  ['exactMatch', exactMatch(), null, 'text, a number, true, false or a list of them'],
  ['exactMatch', exactMatch(), [], 'text, a number'],
  ['exactMatch', exactMatch(), ['a', null], 'text, a number'],
  ['regexMatch', regexMatch(), 'C++ (14', 'a regular expression that compiles'],
  ['regexMatch', regexMatch(), '', 'the source of a regular expression'],
  ['jsonSchemaMatch', jsonSchemaMatch(), { type: 'strin' }, 'a valid JSON Schema'],
  ['jsonSchemaMatch', jsonSchemaMatch(), { $ref: '#/none' }, 'a valid JSON Schema'],
  ['jsonSchemaMatch', jsonSchemaMatch(), 'text', 'a JSON Schema'],
  ['llmJudge', llmJudge(judge), null, 'what the judge compares with'],
  ['llmJudge', llmJudge(judge), ' ', 'what the judge compares with'],
  ['noisyAnswer', noisyAnswer(numericMatch(), { probability: 0.5 }), 'x', 'a finite number'],
]
const usable: [string, AnswerReward, unknown][] = [
  ['numericMatch', numericMatch(), '1,234.5'],
  ['exactMatch', exactMatch(), ['a', 1, false]],
  ['regexMatch', regexMatch(), 'C\\+\\+'],
  ['regexMatch with a pattern', regexMatch({ pattern: 'a' }), null],
  ['jsonSchemaMatch', jsonSchemaMatch(), { $id: 'https://x.org/a', type: 'object' }],
  ['jsonSchemaMatch with a schema', jsonSchemaMatch({ schema: {} }), null],
  ['llmJudge', llmJudge(judge), ['one', 'two']],
  ['llmJudge with a rubric', llmJudge({ ...judge, rubric: 'Is it polite?' }), null],
  ['reportedOutcome', reportedOutcome(), null],
  ['verifier', verifier(() => true), null],
]

describe('a reward', () => {
  it.each(unusable)('%s refuses, before it grades, the answer of %#', async (_, reward, answer, expected) => {
    await expect(checkAnswers(reward, [task(1, 'fine'), task(answer, 'bad')])).rejects.toMatchObject({
      code: 'ERR_TASKS',
      message: expect.stringMatching(/^the reward cannot grade \d of 2 tasks:\n/),
    })
    await expect(checkAnswers(reward, [task(answer, 'bad')])).rejects.toThrow(
      `task "bad": tasks["bad"].answer: must be ${expected}`,
    )
  })

  it.each(usable)('%s takes what it can grade by', async (_, reward, answer) => {
    await checkAnswers(reward, [task(answer)])
  })

  it('counts all, and names five with file and line', async () => {
    const path = join(folder, 'tasks.jsonl')
    const line = (index: number) => ({
      question: `q${index}?`,
      answer: index % 10 === 9 ? '$1' : index,
      id: `own-${index}`,
    })
    writeFileSync(path, Array.from({ length: 80 }, (_, index) => `${JSON.stringify(line(index))}\n`).join(''))
    const listed = [9, 19, 29, 39, 49].map(
      (index) =>
        `${path}:${index + 1}: task "own-${index}": tasks["own-${index}"].answer: must be a finite number, for numericMatch, got '$1'`,
    )
    const said = ['the reward cannot grade 8 of 80 tasks:', ...listed, '... and 3 more'].join('\n')
    const opened = await openTasks(path)
    await expect(checkAnswers(numericMatch(), eachTask(opened))).rejects.toThrow(said)
    await opened.close()
    await expect(checkAnswers(numericMatch(), await jsonl(path))).rejects.toThrow(said)
  })

  it('of your own checks what it likes', async () => {
    const grade: AnswerReward = () => true
    await checkAnswers(grade, [task(null)])
    grade.check = async ({ answer }) => {
      if (answer === null) throw new Error('needs a point')
    }
    await expect(checkAnswers(grade, [task(null)])).rejects.toThrow('task "t": needs a point')
  })
})

describe('before anything is played', () => {
  const tasks = [task(1, 'a'), task('$18.00', 'b')]
  const reward = { answer: numericMatch() }
  const refused = { code: 'ERR_TASKS', message: expect.stringContaining('1 of 2 tasks:\ntask "b"') }
  class Unused extends ScriptedPolicy {
    override createSequence(): never {
      throw new Error('a rollout was played')
    }
  }
  const trainer = (options: object) =>
    new Trainer({
      policy: new Unused(),
      tasks: [task(1, 'a')],
      tools: [],
      reward,
      algorithm: { name: 'hdpo' },
      groupSize: 2,
      promptsPerStep: 1,
      steps: 1,
      optimizer: { learningRate: 0.001 },
      output: join(folder, 'run'),
      onWarning: () => {},
      ...options,
    })

  it('a run looks at all its tasks, and at those that it is evaluated on', async () => {
    await expect(trainer({ tasks }).run().next()).rejects.toMatchObject(refused)
    await expect(
      trainer({ evaluate: { tasks, every: 1 } })
        .run()
        .next(),
    ).rejects.toMatchObject(refused)
  })

  it('an evaluation and a curation do', async () => {
    const asked = { policy: new Unused(), tasks, tools: [], reward }
    await expect(evaluate(asked)).rejects.toMatchObject(refused)
    await expect(curate({ ...asked, traces: [], output: join(folder, 'sets') })).rejects.toMatchObject(
      refused,
    )
  })
})
