import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parquetWriteFile } from 'hyparquet-writer'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Task } from '../../lib/rollout/types.js'
import { type OpenTasksOptions, openTasks } from '../../lib/tasks/open-tasks.js'
import type { RowSource } from '../../lib/tasks/rows.js'
import { takeTasks } from '../../lib/tasks/task-list.js'
import { refuses } from '../core/wrong-options.js'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hdpo-open-tasks-'))
})
afterAll(() => rm(folder, { recursive: true }))

async function write(name: string, lines: readonly string[]): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, lines.join('\n'))
  return path
}

async function load(source: RowSource, options: OpenTasksOptions = {}): Promise<Task[]> {
  const tasks = await openTasks(source, { temporaryFolder: folder, ...options })
  try {
    return await takeTasks(tasks)
  } finally {
    await tasks.close()
  }
}

const rows = (count: number) =>
  Array.from({ length: count }, (_, index) => ({ question: `question ${index}?`, answer: index }))

async function* iterate(count: number) {
  for (const row of rows(count)) yield row
}

describe('sources', () => {
  it('reads JSONL by position, in any order', async () => {
    const path = await write('some.jsonl', [
      '{"question": "one?", "answer": 1}',
      '',
      '{"prompt": "zwölf \u2028 Straßen?", "answer": ["a"], "id": "b", "metadata": {"x": 1}}',
      '{"messages": [{"role": "user", "content": "three"}], "answer": null}\r',
    ])
    const tasks = await openTasks(path, { temporaryFolder: folder })
    expect(tasks.length).toBe(3)
    expect(await tasks.at(2)).toEqual({
      id: 'line-4',
      messages: [{ role: 'user', content: 'three' }],
      answer: null,
    })
    expect(await tasks.at(0)).toEqual({
      id: 'line-1',
      messages: [{ role: 'user', content: 'one?' }],
      answer: 1,
    })
    expect(await tasks.at(1)).toEqual({
      id: 'b',
      messages: [{ role: 'user', content: 'zwölf \u2028 Straßen?' }],
      answer: ['a'],
      metadata: { x: 1 },
    })
    expect(await tasks.at(3)).toBeUndefined()
    await tasks.close()
  })

  it('has the fingerprint of an array with the same tasks', async () => {
    const tasks = await openTasks(rows(3), { temporaryFolder: folder })
    const hash = createHash('sha256')
    for (const task of await takeTasks(tasks)) hash.update(`${JSON.stringify(task)}\n`)
    expect(tasks.fingerprint).toBe(hash.digest('hex').slice(0, 16))
    await tasks.close()
  })

  it('reads arrays, async iterables and functions that start them, up to a limit', async () => {
    const expected = rows(3).map(({ question, answer }, index) => ({
      id: `row-${index + 1}`,
      messages: [{ role: 'user', content: question }],
      answer,
    }))
    expect(await load(rows(3))).toEqual(expected)
    expect(await load(iterate(3))).toEqual(expected)
    async function* endless() {
      for (;;) yield* rows(3)
    }
    expect(await load(() => endless(), { limit: 3 })).toEqual(expected)
  })

  it('crosses chunks of a large file', async () => {
    const long = 'é'.repeat(50_000)
    const path = await write(
      'large.jsonl',
      rows(40).map((row) => JSON.stringify({ ...row, question: row.question + long })),
    )
    const tasks = await load(path)
    expect(tasks).toHaveLength(40)
    expect(tasks[39]?.messages[0]?.content).toBe(`question 39?${long}`)
  })

  it('reads Parquet over row groups, and leaves out columns that are no part of a task', async () => {
    const path = join(folder, 'data.parquet')
    await parquetWriteFile({
      filename: path,
      columnData: [
        { name: 'question', data: rows(2500).map(({ question }) => question), type: 'STRING' },
        { name: 'answer', data: rows(2500).map(({ answer }) => BigInt(answer)), type: 'INT64' },
        { name: 'source', data: rows(2500).map(() => 'x'), type: 'STRING' },
      ],
      rowGroupSize: 1100,
    })
    const tasks = await load(path)
    expect(tasks).toHaveLength(2500)
    expect(tasks[2499]).toEqual({
      id: 'row-2500',
      messages: [{ role: 'user', content: 'question 2499?' }],
      answer: 2499,
    })
    expect(tasks.every((task, index) => task.answer === index)).toBe(true)
  })

  it('reads folders and lists of files, with ids of their own', async () => {
    await mkdir(join(folder, 'shards'), { recursive: true })
    await write('shards/b.jsonl', ['{"question": "b", "answer": 2}'])
    await write('shards/a.jsonl', ['{"question": "a", "answer": 1}'])
    await write('shards/notes.txt', ['not data'])
    const ids = (tasks: Task[]) => tasks.map(({ id, answer }) => [id, answer])
    expect(ids(await load(join(folder, 'shards')))).toEqual([
      ['file-1-line-1', 1],
      ['file-2-line-1', 2],
    ])
    expect(ids(await load([join(folder, 'shards', 'b.jsonl')]))).toEqual([['line-1', 2]])
  })

  it('leaves no file behind, whatever happens', async () => {
    await load(rows(2))
    await expect(load([{ question: 5, answer: 1 }])).rejects.toThrow()
    expect((await readdir(folder)).filter((name) => name.startsWith('hdpo-tasks-'))).toEqual([])
  })
})

describe('columns', () => {
  it('maps names, paths and patterns, and leaves the rest out', async () => {
    const row = {
      prompt: 'How many?',
      gold: 'Two and two are four.\n#### 1,234',
      info: { level: 3, id: 'x-1' },
      extra: true,
    }
    const columns = {
      question: 'prompt',
      answer: { column: 'gold', pattern: '####\\s*(.+)$' },
      id: 'info.id',
      metadata: ['info.level', 'absent'],
    }
    expect(await load([row], { columns, system: 'Be brief.' })).toEqual([
      {
        id: 'x-1',
        messages: [
          { role: 'system', content: 'Be brief.' },
          { role: 'user', content: 'How many?' },
        ],
        answer: '1,234',
        metadata: { 'info.level': 3, absent: null },
      },
    ])
    expect(
      await load([{ question: 'q', prompt: 'p', answer: 1, right: 2 }], {
        columns: { question: 'prompt', answer: 'right' },
      }),
    ).toMatchObject([{ messages: [{ content: 'p' }], answer: 2 }])
  })

  it.each<[object, object, string]>([
    [{ q: 'x', answer: 1 }, { question: 'prompt' }, 'row 1: there is no column "prompt"; columns: q, answer'],
    [{ question: 'x' }, { answer: 'gold' }, 'row 1: there is no column "gold"'],
    [
      { question: 'x', a: 'none' },
      { answer: { column: 'a', pattern: '\\d+' } },
      'row 1: column "a" does not match \\d+: "none"',
    ],
  ])('names what is missing of %j', async (row, columns, message) => {
    await expect(load([row as Record<string, unknown>], { columns })).rejects.toThrow(message)
  })
})

describe('split', () => {
  const part = async (split: Partial<OpenTasksOptions['split']>, count = 1000) =>
    (await load(rows(count), { split: { part: 'train', heldOutShare: 0.2, ...split } })).map(
      ({ answer }) => answer,
    )

  it('puts each task in one part, by its question alone', async () => {
    const [train, heldOut] = [await part({}), await part({ part: 'held-out' })]
    expect([...train, ...heldOut].sort((a, b) => Number(a) - Number(b))).toEqual(
      rows(1000).map(({ answer }) => answer),
    )
    expect(heldOut.length).toBeGreaterThan(150)
    expect(heldOut.length).toBeLessThan(250)
    // With more tasks the parts stay the same.
    expect((await part({ part: 'held-out' }, 2000)).slice(0, heldOut.length)).toEqual(heldOut)
    expect(await part({ part: 'held-out', seed: 1 })).not.toEqual(heldOut)
    const same = rows(10).map((row, index) => ({ ...row, question: 'same', id: `id-${index}` }))
    const one = await load(same, { split: { part: 'train', heldOutShare: 0.5 } }).catch(() => [])
    expect([0, 10]).toContain(one.length)
    expect(await load(same, { split: { part: 'train', heldOutShare: 0.5, by: 'id' } })).not.toHaveLength(10)
  })

  refuses(part, [
    [{ heldOutShare: 1 }, 'openTasks.split.heldOutShare: must be greater than 0 and less than 1, got 1'],
    [{ part: 'test' }, "openTasks.split.part: must be one of train, held-out, got 'test'"],
    [{ by: 'answer' }, "openTasks.split.by: must be one of question, id, got 'answer'"],
    [{ seed: 0.5 }, 'openTasks.split.seed: must be a whole number of at least 0, got 0.5'],
  ])
})

describe('what is refused', () => {
  refuses(load, [[5, 'source: must be a path, paths, rows or an async iterable of rows, got 5']])
  refuses(
    (options) => load(rows(1), options),
    [
      [{ limit: 0 }, 'openTasks.limit: must be a whole number of at least 1, got 0'],
      [{ system: 3 }, 'openTasks.system: must be text, got 3'],
      [
        { columns: { questoin: 'q' } },
        "openTasks.columns.questoin: must be left out (there is no such option; did you mean question?), got 'q'",
      ],
      [
        { columns: { answer: { column: 'a', pattern: '(' } } },
        "openTasks.columns.answer.pattern: must be the source of a regular expression, got '('",
      ],
    ],
  )

  it('names file and place', async () => {
    const bad = await write('bad.jsonl', ['{"question": "q", "answer": 1}', '{"question"'])
    await expect(load(bad)).rejects.toThrow(/bad\.jsonl:2: not JSON/)
    const unknown = await write('unknown.jsonl', ['{"question": "q", "answer": 1, "anwser": 2}'])
    await expect(load(unknown)).rejects.toThrow('unknown.jsonl:1: unknown key "anwser"')
    const twice = await write('twice.jsonl', [
      '{"question": "q", "answer": 1, "id": 7}',
      '{"question": "r", "answer": 1, "id": 7}',
    ])
    await expect(load(twice)).rejects.toThrow('twice.jsonl:2: id "7" is that of line 1 too')
    await expect(load(await write('empty.jsonl', ['', '']))).rejects.toThrow('empty.jsonl: has no tasks')
    await expect(load(join(folder, 'absent.jsonl'))).rejects.toThrow(/cannot read .*absent\.jsonl/)
    await expect(load(await write('data.csv', ['a,b']))).rejects.toThrow('data.csv: a data file ends in')
    await expect(load(await write('fake.parquet', ['nothing like it']))).rejects.toThrow(
      /cannot read .*fake\.parquet/,
    )
    await expect(load([1 as never])).rejects.toThrow('row 1: must hold an object, got 1')
  })

  it('passes on what an iterable throws', async () => {
    async function* failing() {
      yield { question: 'q', answer: 1 }
      throw new Error('the database is gone')
    }
    await expect(load(failing())).rejects.toThrow('the database is gone')
  })
})
