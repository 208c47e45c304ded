import { appendFile, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { type CurateOptions, curate } from '../../lib/curation/curate.js'
import type { Message } from '../../lib/policy/types.js'
import { ungraded } from '../../lib/rewards/rewards.js'
import { defineTool } from '../../lib/tools/define-tool.js'
import type { Tool } from '../../lib/tools/types.js'
import { refuses } from '../core/wrong-options.js'
import { complete, MisbehavingEndpoint, say } from '../rewards/misbehaving-endpoint.js'
import { rightIf42, tasks } from '../trainer/scripted-environment.js'
import { ScriptedPolicy } from '../trainer/scripted-policy.js'

let endpoint: MisbehavingEndpoint
beforeAll(async () => {
  endpoint = await MisbehavingEndpoint.start()
})
afterAll(() => endpoint.stop())

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hdpo-curate-'))
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await rm(folder, { recursive: true })
})

const lookup = defineTool({
  name: 'lookup',
  description: 'Looks a topic up',
  input: { type: 'object', properties: { topic: { type: 'string' } }, required: ['topic'] },
  run: ({ topic }: Record<string, unknown>) => {
    if (topic === 'gone') throw new Error('404')
    return '42'
  },
}) as Tool

/** A policy that knows questions 0 and 1 and gets 2 right half of the time. */
function policy(): ScriptedPolicy {
  const scripted = new ScriptedPolicy()
  scripted.say = (conversation, draw) => {
    const question = Number(/question (\d+)/.exec(conversation)?.[1])
    return `<answer>${question < 2 || (question === 2 && draw < 0.5) ? 42 : 41}</answer>`
  }
  return scripted
}

const trace = (question: string, topics: string[], answer = '42', name = 'lookup') => ({
  messages: [
    { role: 'user', content: question },
    ...topics.flatMap((topic): Message[] => [
      { role: 'assistant', content: '', toolCalls: [{ name, arguments: { topic } }] },
      { role: 'tool', name, content: '42' },
    ]),
    { role: 'assistant', content: `<answer>${answer}</answer>` },
  ] as Message[],
})

const run = (options: Partial<CurateOptions> = {}) =>
  curate({
    policy: policy(),
    tasks: tasks(5),
    tools: [lookup],
    reward: rightIf42,
    output: folder,
    ...options,
  })

async function read(name: string) {
  const text = await readFile(join(folder, name), 'utf8')
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))
}

describe('curate', () => {
  it('marks what the policy knows and writes the RL set', async () => {
    const summary = await run()
    expect(summary).toMatchObject({
      tasks: 5,
      knowledge: { known: 2, partly: 1, needed: 2, ungraded: 0 },
      traces: 0,
    })
    const rl = await read('rl.jsonl')
    expect(rl.map(({ id, metadata }) => [id, metadata.knowledge])).toEqual([
      ['task-0', 'known'],
      ['task-1', 'known'],
      ['task-2', 'partly'],
      ['task-3', 'needed'],
      ['task-4', 'needed'],
    ])
    expect(rl[0]).toMatchObject({
      messages: [{ content: 'question 0' }],
      answer: 42,
      metadata: { rightShareWithoutTools: 1 },
    })
    expect(JSON.parse(await readFile(join(folder, 'curation.json'), 'utf8'))).toEqual(summary)
  })

  it('drops traces of known questions, failing calls and wrong answers, with the reason', async () => {
    const summary = await run({
      traces: [
        trace('question 0', ['a']),
        trace('Question  3', ['a', 'b']),
        trace('question 3', ['a', 'gone']),
        trace('question 4', ['a'], '41'),
        trace('question 4', ['a'], '42', 'search'),
        trace('something else', ['a'], 'anything'),
        trace('question 1', []),
      ],
    })
    expect(summary).toMatchObject({
      traces: 7,
      keptTraces: 3,
      dropped: { known: 1, 'failing-call': 2, 'wrong-answer': 1, 'ungraded-answer': 0, rationale: 0 },
      unmatchedTraces: 1,
    })
    expect((await read('cold-start.jsonl')).map(({ messages }) => messages[0].content)).toEqual([
      'Question  3',
      'something else',
      'question 1',
    ])
    expect((await read('dropped.jsonl')).map(({ trace, reason, detail }) => [trace, reason, detail])).toEqual(
      [
        [1, 'known', 'task task-0 is answered right every time without tools'],
        [3, 'failing-call', 'call 2 (lookup): error: lookup failed: 404'],
        [4, 'wrong-answer', 'answers "41"'],
        [5, 'failing-call', 'call 1 (search): unknown-tool: There is no tool "search". Tools: lookup'],
      ],
    )
  })

  it('takes no answer of a trace from inside its thought', async () => {
    const said = (content: string) => ({
      messages: [
        { role: 'user', content: 'question 4' },
        { role: 'assistant', content },
      ] as Message[],
    })
    await run({
      traces: [
        said('<think>Is it <answer>41</answer>?</think>\n\n<answer>42</answer>'),
        said('Perhaps 41.</think><answer>42</answer>'),
        said('<think>It is <answer>42</answer>.</think>I do not know.'),
        said('It is <answer>42</answer>?</think>I do not know.'),
        said('<think>It is <answer>42</answer>'),
      ],
    })
    expect((await read('dropped.jsonl')).map(({ trace, detail }) => [trace, detail])).toEqual([
      [3, 'answers null'],
      [4, 'answers null'],
      [5, 'answers null'],
    ])
  })

  it('asks the judge about tool use, and never takes its failure for a yes', async () => {
    endpoint.behave((response, { body }) => {
      const text = body.messages[1]?.content ?? ''
      if (text.includes('unclear')) complete(response, 'Hm.')
      else say(response, !text.includes('needless'))
    })
    const summary = await run({
      traces: [
        trace('sensible', ['a']),
        trace('needless', ['a']),
        trace('unclear', ['a']),
        trace('no calls', []),
      ],
      rationale: { baseURL: endpoint.baseURL, model: 'judge', minimumDelay: 1, retries: 1 },
    })
    expect(summary).toMatchObject({ keptTraces: 2, dropped: { rationale: 1, 'ungraded-rationale': 1 } })
    expect(summary.judge).toMatchObject({ asked: 3, decided: 2, undecided: 1 })
    expect(await read('dropped.jsonl')).toMatchObject([
      { trace: 2, reason: 'rationale', detail: 'because' },
      { trace: 3, reason: 'ungraded-rationale', detail: expect.stringContaining('no verdict') },
    ])
  })

  it('keeps tasks out of the RL set that the reward could not grade every time', async () => {
    const answer: CurateOptions['reward']['answer'] = ({ id, taskId }) =>
      taskId === 'task-1' && id.endsWith('#3') ? ungraded('judge down') : true
    expect(await run({ reward: { answer } })).toMatchObject({ knowledge: { known: 4, ungraded: 1 } })
    expect((await read('rl.jsonl')).map(({ id }) => id)).not.toContain('task-1')
    expect(await read('dropped.jsonl')).toMatchObject([{ task: { id: 'task-1' }, reason: 'ungraded' }])
  })

  it('writes no secret, and over no earlier set', async () => {
    vi.stubEnv('MY_API_KEY', 'swordfish-12345')
    await run({ traces: [trace('the key is swordfish-12345', ['a'])] })
    expect(await readFile(join(folder, 'cold-start.jsonl'), 'utf8')).toContain('the key is [redacted]')
    await expect(run()).rejects.toMatchObject({ code: 'ERR_RUN_EXISTS' })
  })

  it('goes on after it was stopped to the sets of an unbroken one, doing nothing twice', async () => {
    const many = { tasks: tasks(200), traces: Array.from({ length: 8 }, (_, at) => trace(`q ${at}`, ['a'])) }
    const whole = join(folder, 'whole')
    const summary = await run({ ...many, output: whole })
    const output = join(folder, 'stopped')
    const stopAt = (phase: string, count: number) => {
      const stop = new AbortController()
      const onProgress: CurateOptions['onProgress'] = (progress) => {
        if (progress.phase === phase && progress.done === count) stop.abort(new Error('stopped by the test'))
      }
      return { ...many, output, signal: stop.signal, onProgress, concurrency: 1 }
    }
    await expect(run(stopAt('tasks', 100))).rejects.toThrow('stopped by the test')
    await expect(run({ ...many, output })).rejects.toMatchObject({ code: 'ERR_RUN_EXISTS' })
    // The file as a kill in the middle of a write leaves it.
    await appendFile(join(output, 'progress.jsonl'), '{"from": 128, "rightSha')
    await expect(run({ ...stopAt('traces', 3), resume: true })).rejects.toThrow('stopped by the test')
    await expect(run({ ...many, output, resume: true, samples: 3 })).rejects.toThrow(/samples was 8/)
    const asked = vi.fn(() => '42')
    const counting = { ...lookup, run: asked } as Tool
    const silent = policy()
    silent.say = () => {
      throw new Error('nothing is left to ask')
    }
    expect(await run({ ...many, output, resume: true, policy: silent, tools: [counting] })).toEqual(summary)
    expect(asked).toHaveBeenCalledTimes(5)
    for (const name of ['rl.jsonl', 'cold-start.jsonl', 'dropped.jsonl', 'curation.json']) {
      expect(await readFile(join(output, name), 'utf8'), name).toBe(await readFile(join(whole, name), 'utf8'))
    }
    expect(await readdir(output)).not.toContain('progress.jsonl')
    // A finished run only returns its summary again.
    expect(await run({ ...many, output, resume: true, policy: silent })).toEqual(summary)
  })

  it('stops when it is aborted', async () => {
    const signal = AbortSignal.abort(new Error('stopped by the test'))
    await expect(run({ signal })).rejects.toThrow('stopped by the test')
  })
})

describe('curate refuses, before it makes a folder', () => {
  refuses(
    (change) => run({ output: '/there/is/no/such/folder', ...(change as object) }),
    [
      [{ policy: undefined }, 'curate.policy: must be a policy, got undefined'],
      [{ samples: 0 }, 'curate.samples: must be a whole number of at least 1, got 0'],
      [{ concurrency: 0.5 }, 'curate.concurrency: must be a whole number of at least 1, got 0.5'],
      [{ output: '' }, "curate.output: must be text that is not empty, got ''"],
      [{ reward: { answer: 'exact' } }, "curate.reward.answer: must be a function, got 'exact'"],
      [{ rollout: { maxTurns: 0 } }, 'curate.rollout.maxTurns: must be a whole number of at least 1, got 0'],
      [
        { rationale: { model: 'm', baseURL: 'here' } },
        "curate.rationale.baseURL: must be an address that begins with http:// or https://, got 'here'",
      ],
      [
        { sample: 3 },
        'curate.sample: must be left out (there is no such option; did you mean samples?), got 3',
      ],
    ],
  )
})
