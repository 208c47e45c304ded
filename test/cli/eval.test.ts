// hdpo eval on a model behind an API (our own server over a scripted policy) and on a user's own agent.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createProgram } from '../../lib/cli/program.js'
import { complete, MisbehavingEndpoint, say, send } from '../rewards/misbehaving-endpoint.js'
import { call, serve } from '../server/conversations.js'
import type { Script } from '../server/served-policy.js'

// Knows 2 + 2 but calls for it anyway; needs the tool for the product; is wrong about the rest.
const script: Script = (conversation, { logitBias }) => {
  const mayCall = ![...(logitBias?.values() ?? [])].includes(Number.NEGATIVE_INFINITY)
  const found = conversation.match(/tool: (.*)\n/)?.[1]
  if (conversation.includes('2 + 2')) {
    return mayCall && found === undefined
      ? `${call('calculator', { expression: '2 + 2' })}<|end|>`
      : '4<|end|>'
  }
  if (conversation.includes('123 * 45')) {
    if (!mayCall) return '5000<|end|>'
    return `${found === undefined ? call('calculator', { expression: '123 * 45' }) : found}<|end|>`
  }
  return 'no idea<|end|>'
}

const tasks = [
  { id: 'known', question: 'What is 2 + 2?', answer: '4' },
  { id: 'needed', question: 'What is 123 * 45?', answer: '5535' },
  { id: 'hopeless', question: 'Who?', answer: 'me' },
]

describe('hdpo eval', () => {
  let folder: string
  let printed: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'hdpo-eval-'))
    printed = ''
    vi.spyOn(console, 'log').mockImplementation((text) => {
      printed += `${text}\n`
    })
    vi.spyOn(process.stderr, 'write').mockReturnValue(true)
    writeFileSync(join(folder, 'tasks.jsonl'), tasks.map((task) => `${JSON.stringify(task)}\n`).join(''))
  })
  afterEach(() => {
    vi.restoreAllMocks()
    rmSync(folder, { recursive: true, force: true })
  })

  const evaluate = (...args: string[]) =>
    createProgram().parseAsync(['node', 'hdpo', 'eval', '--tasks', join(folder, 'tasks.jsonl'), ...args])

  it('measures a model behind an API, and keeps what it knows for the next time', async () => {
    const { url } = await serve(script)
    const output = join(folder, 'before.json')
    const target = ['--endpoint', `${url}/v1`, '--model', 'policy', '--tools', 'calculator']
    await evaluate(...target, '--known', '--samples', '2', '--prices', '1,2', '--output', output)
    const result = JSON.parse(readFileSync(output, 'utf8'))
    expect(result).toMatchObject({
      target: `policy at ${url}/v1`,
      questions: 3,
      rollouts: 6,
      measures: {
        accuracy: { value: 4 / 6 },
        redundantCallRate: { value: 1 },
        neededCallRate: { value: 0.5 },
        callsPerRightAnswer: { value: 1 },
      },
      known: { knownQuestions: 1, neededQuestions: 2, samples: 8 },
    })
    expect(result.known.rightShare).toEqual([
      ['known', 1],
      ['needed', 0],
      ['hopeless', 0],
    ])
    expect(result.measures.tokenCostPerRollout.value).toBeGreaterThan(0)
    expect(printed).toMatch(/redundant-call rate \(1 known\) +100\.0%/)
    printed = ''
    await evaluate(...target, '--known-from', output, '--json')
    expect(JSON.parse(printed).measures.redundantCallRate.value).toBe(1)
  })

  it('measures an agent with its own tools', async () => {
    const agent = join(folder, 'agent.mjs')
    writeFileSync(
      agent,
      `export default ({ messages, toolChoice }) => {
        const question = messages.at(-1).content
        if (question.includes('2 + 2')) return { answer: '4', toolCalls: [] }
        if (toolChoice === 'none') return { answer: 'unknown', toolCalls: [] }
        return { answer: '<answer>5535</answer>', toolCalls: [{ name: 'python', milliseconds: 40 }] }
      }`,
    )
    await evaluate('--agent', agent, '--known', '--json')
    expect(JSON.parse(printed)).toMatchObject({
      measures: {
        accuracy: { value: 2 / 3 },
        redundantCallRate: { value: 0 },
        neededCallRate: { value: 1 },
        toolSecondsPerRollout: { value: expect.closeTo(0.08 / 3, 12) },
      },
      known: { knownQuestions: 1, neededQuestions: 2 },
    })
  })

  it.each([
    [[], 'exactly one of a policy folder, --endpoint and --agent must be given; got none'],
    [
      ['p', '--agent', 'a.ts'],
      'exactly one of a policy folder, --endpoint and --agent must be given; got p and a.ts',
    ],
    [['--endpoint', 'http://127.0.0.1:1/v1'], '--model must be given: the name that the endpoint knows'],
    [
      ['p', '--known', '--known-from', 'x.json'],
      '--known measures what --known-from reads: give one of them',
    ],
  ])('says what is wrong with %j', async (args, message) => {
    await expect(evaluate(...args)).rejects.toThrow(message)
  })

  it('keeps what it measured before the credit ran out', async () => {
    const endpoint = await MisbehavingEndpoint.start((response, _, index) =>
      index < 2 ? complete(response, '4') : send(response, 402, 'Insufficient Balance'),
    )
    try {
      const files = { output: join(folder, 'output.json'), rollouts: join(folder, 'rollouts.jsonl') }
      const target = ['--endpoint', endpoint.baseURL, '--model', 'm', '--concurrency', '1']
      await expect(
        evaluate(...target, '--output', files.output, '--rollouts', files.rollouts),
      ).rejects.toMatchObject({ code: 'ERR_ENDPOINT' })
      expect(endpoint.requests).toHaveLength(3)
      expect(JSON.parse(readFileSync(files.output, 'utf8'))).toMatchObject({
        ended: 'the endpoint refuses every request: HTTP 402: Insufficient Balance',
        questions: 2,
        rollouts: 2,
        measures: { accuracy: { value: 0.5 } },
      })
      const lines = readFileSync(files.rollouts, 'utf8').trim().split('\n')
      expect(lines.map((line) => JSON.parse(line).taskId)).toEqual(['known', 'needed'])
      expect(printed).toMatch(/questions +2/)
    } finally {
      await endpoint.stop()
    }
  })

  it('grades prose by what it contains, and shows a wrong answer where none is right', async () => {
    const agent = join(folder, 'prose.mjs')
    writeFileSync(
      agent,
      "export default ({ task }) => ({ answer: 'Sure! It is ' + task.answer + ', I think.', toolCalls: [] })",
    )
    await evaluate('--agent', agent, '--answer', 'contains', '--json')
    expect(JSON.parse(printed)).toMatchObject({ measures: { accuracy: { value: 1 } } })
    await evaluate('--agent', agent)
    const told = vi.mocked(process.stderr.write).mock.calls.map(([text]) => String(text))
    expect(told.join('')).toContain(
      'none of 3 answers is right: known was answered "Sure! It is 4, I think.", where the task has "4"',
    )
  })

  it('asks the judge that flags name', async () => {
    vi.stubEnv('JUDGES_KEY', 'key-of-the-judge')
    const judge = await MisbehavingEndpoint.start((response, { body }) =>
      say(response, JSON.stringify(body.messages).includes('5535')),
    )
    try {
      const agent = join(folder, 'own.mjs')
      writeFileSync(agent, "export default ({ task }) => ({ answer: 'It is ' + task.answer, toolCalls: [] })")
      const named = [
        '--judge',
        judge.baseURL,
        '--judge-model',
        'judge-1',
        '--judge-key-variable',
        'JUDGES_KEY',
      ]
      await evaluate(
        '--agent',
        agent,
        '--answer',
        'llm-judge',
        ...named,
        '--rubric',
        'Near is right.',
        '--json',
      )
      expect(JSON.parse(printed)).toMatchObject({ measures: { accuracy: { value: 1 / 3 } } })
      expect(judge.requests).toHaveLength(3)
      for (const { authorization, body } of judge.requests) {
        expect(authorization).toBe('Bearer key-of-the-judge')
        expect(body.model).toBe('judge-1')
        expect(JSON.stringify(body.messages)).toContain('Near is right.')
      }
    } finally {
      vi.unstubAllEnvs()
      await judge.stop()
    }
  })

  it('asks for what a judge needs', async () => {
    await expect(evaluate('--agent', 'a.mjs', '--answer', 'llm-judge')).rejects.toThrow(
      '--answer llm-judge needs --judge <url> and --judge-model <name>',
    )
    await expect(evaluate('--agent', 'a.mjs', '--judge-model', 'm')).rejects.toThrow(
      '--judge-model goes with --answer llm-judge, got --answer none',
    )
  })

  it('fails where nothing could be graded', async () => {
    const agent = join(folder, 'broken.mjs')
    writeFileSync(agent, `export default () => { throw new Error('down') }`)
    await expect(evaluate('--agent', agent)).rejects.toMatchObject({
      code: 'ERR_UNGRADED',
      message: 'no rollout could be graded; the first: the agent failed: down',
    })
  })
})
