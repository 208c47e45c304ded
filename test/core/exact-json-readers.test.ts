// JSON of users, models and servers goes through the one reader: no order's number becomes another's on its way, and no brackets end
// a run.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { findFailingCall } from '../../lib/curation/replay.js'
import { readCompletion } from '../../lib/http/chat-reply.js'
import { readJsonBody } from '../../lib/http/read-body.js'
import { formatNamed, type ToolFormat } from '../../lib/policy/calls/formats.js'
import { parseVerdict } from '../../lib/rewards/judge/verdict.js'
import { exactMatch, jsonSchemaMatch, numericMatch } from '../../lib/rewards/rewards.js'
import type { Task } from '../../lib/rollout/types.js'
import { jsonl } from '../../lib/tasks/jsonl.js'
import { openTasks } from '../../lib/tasks/open-tasks.js'
import { defineTool } from '../../lib/tools/define-tool.js'
import { fromMcpResult } from '../../lib/tools/mcp/result.js'
import { readConversations } from '../../lib/traces/read-conversations.js'

const id = '7301456228930019841'
const next = '7301456228930019842'
const folder = mkdtempSync(join(tmpdir(), 'hdpo-exact-'))
afterAll(() => rmSync(folder, { recursive: true }))

function file(name: string, content: string): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

describe('calls of a policy', () => {
  const written: [ToolFormat, string, (input: string) => string][] = [
    ['hermes', 'arguments', (input) => `<tool_call>{"name": "t", "arguments": ${input}}</tool_call>`],
    ['mistral', '[0].arguments', (input) => `[TOOL_CALLS] [{"name": "t", "arguments": ${input}}]`],
    ['mistral-args', 'arguments', (input) => `[TOOL_CALLS]t[ARGS]${input}`],
    ['llama3-json', 'parameters', (input) => `{"name": "t", "parameters": ${input}}`],
  ]

  it.each(written)('%s: tells the policy which number is none', (format, at, call) => {
    expect(formatNamed(format).parse(call(`{"order": [${id}]}`))).toMatchObject([
      { kind: 'malformed', problem: expect.stringContaining(`${at}.order[0]: ${id} is beyond`) },
    ])
    expect(formatNamed(format).parse(call('{"x": 1e400}'))).toMatchObject([{ kind: 'malformed' }])
    expect(formatNamed(format).parse(call(`{"order": "${id}", "x": 10.0}`))).toMatchObject([
      { kind: 'call', arguments: { order: id, x: 10 } },
    ])
  })

  it.each(written)('%s: refuses deep nesting by name', (format, _at, call) => {
    for (const depth of [300, 2500, 10_000]) {
      const parsed = formatNamed(format).parse(call(`{"a":${'['.repeat(depth)}${']'.repeat(depth)}}`))
      expect(parsed).toMatchObject([{ kind: 'malformed', problem: 'nested deeper than 256 levels' }])
    }
  })
})

describe('tasks', () => {
  const rows = `{"question": "a", "answer": ${id}}
{"question": "b", "answer": [1.50, ${next}, "x"], "id": ${id}}
{"question": "c", "answer": 1, "id": ${next}, "metadata": null, "prompt": null}
{"question": "d", "answer": -1e400, "id": null}
`
  it('keep ids and answers to the digit', async () => {
    const path = file('tasks.jsonl', rows)
    const opened = await openTasks(path)
    const tasks = await Promise.all([0, 1, 2, 3].map((index) => opened.at(index)))
    await opened.close()
    expect(await jsonl(path)).toEqual(tasks)
    expect(tasks).toMatchObject([
      { id: 'line-1', answer: id },
      { id, answer: [1.5, next, 'x'] },
      { id: next, answer: 1 },
      { id: 'line-4', answer: '-1e400' },
    ])
    expect(tasks[2]).not.toHaveProperty('metadata')
  })

  it.each([
    [`{"question": "a", "answer": 1, "metadata": {"a": [${id}]}}`, `metadata.a[0]: ${id} is beyond`],
    [`{"question": "a", "answer": {"const": ${id}}}`, `answer.const: ${id} is beyond`],
    [`{"question": "a", "answer": [{"x": ${id}}]}`, `answer[0].x: ${id} is beyond`],
    [`{"question": ${id}, "answer": 1}`, '"question" must be text'],
    [
      `{"question": "a", "answer": ${'['.repeat(10_000)}${']'.repeat(10_000)}}`,
      'nested deeper than 256 levels',
    ],
  ])('name what would be rounded or overflow: %.60s', async (line, message) => {
    const path = file('wrong.jsonl', `{"question": "q", "answer": 1}\n${line}\n`)
    for (const reading of [jsonl(path), openTasks(path)]) {
      await expect(reading).rejects.toMatchObject({ code: 'ERR_TASKS' })
      await expect(reading).rejects.toThrow(`${path}:2: ${message}`)
    }
  })

  it('read mapped columns alone', async () => {
    const path = file('columns.jsonl', `{"q": "a", "gold": "#### ${id}", "row": ${id}, "n": ${next}}\n`)
    const columns = { question: 'q', answer: { column: 'n', pattern: '\\d+' }, id: 'row' }
    expect(await jsonl(path, { columns })).toMatchObject([{ id, answer: next }])
    await expect(jsonl(path, { columns: { ...columns, metadata: ['n'] } })).rejects.toThrow(
      `metadata.n: ${next}`,
    )
  })

  it('take BigInts of rows in memory', async () => {
    const opened = await openTasks([{ question: 'a', answer: 2n ** 60n, id: 2n ** 61n, metadata: { a: 5n } }])
    expect(await opened.at(0)).toMatchObject({
      id: String(2n ** 61n),
      answer: String(2n ** 60n),
      metadata: { a: 5 },
    })
    await opened.close()
  })
})

describe('rewards', () => {
  const task = (answer: unknown) => ({ id: 't', messages: [], answer }) as Task
  const rollout = (finalAnswer: string) => ({ finalAnswer }) as never

  it('grade integers beyond 2^53 to the digit', async () => {
    for (const [given, right] of [
      [id, true],
      [next, false],
    ] as const) {
      expect(await exactMatch()(rollout(given), task(id))).toBe(right)
      expect(await numericMatch({ relativeTolerance: 0 })(rollout(given), task(id))).toBe(right)
      const integer = jsonSchemaMatch({ schema: { type: 'integer' }, equal: true })
      expect(await integer(rollout(given), task(id))).toBe(right)
      const listed = jsonSchemaMatch({ schema: { type: 'array', items: { type: 'integer' } }, equal: true })
      expect(await listed(rollout(`[1, ${given}]`), task([1, id]))).toBe(right)
    }
    const grouped = numericMatch({ relativeTolerance: 0 })
    expect(await grouped(rollout('7,301,456,228,930,019,841'), task(id))).toBe(true)
    expect(await numericMatch({ relativeTolerance: 0, absoluteTolerance: 1 })(rollout(next), task(id))).toBe(
      true,
    )
  })

  it('grade fractions as decimals', async () => {
    const near = numericMatch({ relativeTolerance: 0, absoluteTolerance: 0.1 })
    expect(await near(rollout('1.1'), task(1))).toBe(true)
    expect(await near(rollout('1.1000000000000000000001'), task(1))).toBe(false)
    expect(await numericMatch({ relativeTolerance: 0 })(rollout('1.150'), task('1.15'))).toBe(true)
    expect(await numericMatch()(rollout('1e308'), task(-1e-300))).toBe(false)
  })

  it('take deep answers as wrong ones', async () => {
    const deep = jsonSchemaMatch({ schema: {} })
    expect(await deep(rollout('['.repeat(50_000) + ']'.repeat(50_000)), task(1))).toBe(false)
  })
})

describe('servers and judges', () => {
  it('refuse a body by the name of its field', async () => {
    const request = (body: string) =>
      new Request('http://a', { method: 'POST', headers: { 'content-type': 'application/json' }, body })
    await expect(readJsonBody(request(`{"seed": ${id}}`), 1000)).rejects.toMatchObject({
      status: 400,
      param: 'seed',
      message: expect.stringContaining(`seed: ${id} is beyond`),
    })
    const deep = '['.repeat(10_000)
    await expect(readJsonBody(request(deep), 100_000)).rejects.toMatchObject({
      status: 400,
      message: 'the body is nested deeper than 256 levels',
    })
  })

  it('are read past numbers that nobody asks for', async () => {
    const reply = `{"created": ${id}, "choices": [{"message": {"content": "a"}}], "usage": {"prompt_tokens": 1e400}}`
    const { completion } = await readCompletion(new Response(reply))
    expect(completion?.choices?.[0]?.message?.content).toBe('a')
    expect(parseVerdict(`{"reason": "r", "correct": true, "order": ${id}}`)).toEqual({
      reason: 'r',
      correct: true,
    })
    expect(parseVerdict('['.repeat(10_000) + ']'.repeat(10_000))).toBeUndefined()
  })
})

it('runs the calls of a log again only with numbers that it can pass on', async () => {
  const got: unknown[] = []
  const tool = defineTool({
    name: 'pay',
    description: 'Pays',
    input: { type: 'object', properties: { amount: { type: 'number' } } },
    run: (input) => void got.push(input),
  })
  const log = async (input: string) => {
    const call = { function: { name: 'pay', arguments: input } }
    const messages = [
      { role: 'user', content: 'q' },
      { role: 'assistant', content: '', tool_calls: [call] },
      { role: 'tool', content: 'ok' },
      { role: 'assistant', content: 'a' },
    ]
    const { conversations } = await readConversations(file('log.jsonl', JSON.stringify({ messages })))
    return conversations[0]?.messages ?? []
  }
  const options = { id: 'a', signal: new AbortController().signal }
  expect(await findFailingCall(await log('{"amount": 10.0}'), [tool], options)).toBeUndefined()
  expect(got).toEqual([{ amount: 10 }])
  expect(await findFailingCall(await log(`{"amount": ${id}}`), [tool], options)).toContain(
    `arguments.amount: ${id} is beyond`,
  )
})

it('refuses what an MCP server sent as a number and its SDK has rounded', () => {
  expect(fromMcpResult({ content: [], structuredContent: { celsius: 21.5 } })).toBe('{"celsius":21.5}')
  const rounded = JSON.parse(`{"orders": [{"id": ${id}}]}`)
  expect(() => fromMcpResult({ content: [], structuredContent: rounded })).toThrow(
    'structuredContent.orders[0].id: 7301456228930020000 is beyond',
  )
  expect(fromMcpResult({ content: [{ type: 'text', text: id }], structuredContent: rounded })).toBe(id)
})
