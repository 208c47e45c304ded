import { describe, expect, it } from 'vitest'
import { InvalidOptionError } from '../../lib/core/option-error.js'
import { type RunRolloutOptions, runRollout } from '../../lib/rollout/run-rollout.js'
import type { Rollout } from '../../lib/rollout/types.js'
import type { Tool } from '../../lib/tools/types.js'
import { refuses } from '../core/wrong-options.js'
import {
  callToken,
  endOfTurn,
  logprobAt,
  ScriptedPolicy,
  template,
  tokenizer,
  turns,
} from './scripted-policy.js'
import { add, call, never, task, tool } from './tools.js'

const answer = '<answer>5</answer><|end|>'

/** The text of the tokens with mask 1, and of the others. */
function textByMask({ tokens, mask }: Rollout): { sampled: string; given: string } {
  const text = (bit: number) => tokenizer.decode(tokens.filter((_, index) => mask[index] === bit))
  return { sampled: text(1), given: text(0) }
}

function expectAligned({ tokens, mask, logprobs }: Rollout): void {
  expect(mask.length).toBe(tokens.length)
  expect(Array.from(logprobs)).toEqual(Array.from(mask, (bit, place) => (bit === 1 ? logprobAt(place) : 0)))
}

describe('runRollout', () => {
  it('answers at once', async () => {
    const rollout = await runRollout(turns(answer), task, [add])
    const prompt = template.prompt(task.messages, [add])
    expect(rollout).toMatchObject({
      id: 'sum',
      taskId: 'sum',
      promptTokens: prompt.length,
      toolCalls: [],
      turns: 1,
      end: 'answer',
      finalAnswer: '5',
      wellFormed: true,
    })
    expect(Array.from(rollout.tokens)).toEqual([...prompt, ...tokenizer.encode(answer)])
    expect(textByMask(rollout).sampled).toBe(answer)
    expectAligned(rollout)
    expect(rollout.messages).toEqual([...task.messages, { role: 'assistant', content: '<answer>5</answer>' }])
  })

  it('runs a call, appends what it returned and goes on', async () => {
    const policy = turns(`let me see ${call('add', { a: 2, b: 3 })}<|end|>`, answer)
    const rollout = await runRollout(policy, task, [add])
    expect(rollout).toMatchObject({ turns: 2, end: 'answer', finalAnswer: '5', wellFormed: true })
    expect(rollout.toolCalls).toEqual([
      {
        name: 'add',
        arguments: { a: 2, b: 3 },
        outcome: 'ok',
        observation: '5',
        milliseconds: expect.any(Number),
        cost: 1,
      },
    ])
    expect(textByMask(rollout)).toEqual({
      sampled: `let me see ${call('add', { a: 2, b: 3 })}<|end|>${answer}`,
      given: 'tools: add\nuser: How much?\nassistant: \ntool: 5\nassistant: ',
    })
    expectAligned(rollout)
    expect(Array.from(rollout.tokens)).toEqual(policy.sequences[0]?.tokens)
    expect(rollout.messages.slice(1)).toEqual([
      { role: 'assistant', content: 'let me see', toolCalls: [{ name: 'add', arguments: { a: 2, b: 3 } }] },
      { role: 'tool', name: 'add', content: '5' },
      { role: 'assistant', content: '<answer>5</answer>' },
    ])
    expect(policy.sequences.every(({ released }) => released)).toBe(true)
  })

  it('runs several calls of a turn at once and answers them in order', async () => {
    let running = 0
    let most = 0
    const wait = (milliseconds: number) => async () => {
      most = Math.max(most, ++running)
      await new Promise((resolve) => setTimeout(resolve, milliseconds))
      running--
      return `after ${milliseconds}`
    }
    const policy = turns(`${call('slow')}${call('fast')}<|end|>`, answer)
    const rollout = await runRollout(policy, task, [tool('slow', wait(20)), tool('fast', wait(1))])
    expect(most).toBe(2)
    expect(rollout.toolCalls.map(({ observation }) => observation)).toEqual(['after 20', 'after 1'])
    expect(textByMask(rollout).given).toContain('\ntool: after 20\ntool: after 1\nassistant: ')
  })

  it('never encodes again what the policy sampled', async () => {
    // The same call spelt in ordinary characters: encoding its text again would give other tokens.
    const spelt = Array.from(call('add', { a: 1, b: 1 }), (character) => character.codePointAt(0) as number)
    const policy = turns(answer)
    policy.tokenizer = { ...tokenizer, encode: () => expect.fail('encoded') }
    const createSequence = policy.createSequence.bind(policy)
    policy.createSequence = (tokens) => {
      const sequence = createSequence(tokens)
      const sample = sequence.sample.bind(sequence)
      let first = true
      sequence.sample = async (options) => {
        if (!first) return sample(options)
        first = false
        const sampled = [...spelt, endOfTurn]
        sequence.append(sampled)
        return {
          tokens: Int32Array.from(sampled),
          logprobs: new Float32Array(sampled.length),
          finishReason: 'stop-token',
        }
      }
      return sequence
    }
    const rollout = await runRollout(policy, task, [add])
    expect(rollout.toolCalls).toMatchObject([{ outcome: 'ok', observation: '2' }])
    expect(
      Array.from(rollout.tokens.slice(rollout.promptTokens, rollout.promptTokens + spelt.length)),
    ).toEqual(spelt)
  })

  it.each<[string, string, string, RegExp]>([
    [
      'malformed JSON',
      '<tool_call>{"name": "add", }</tool_call>',
      'malformed',
      /^Malformed tool call: not valid JSON/,
    ],
    ['an unclosed call', '<tool_call>{"name": "add"}', 'malformed', /without <\/tool_call>/],
    [
      'an unknown tool',
      call('subtract'),
      'unknown-tool',
      /no tool "subtract".*add, fail, throw, reject, circular/,
    ],
    [
      'bad arguments',
      call('add', { a: 'x', b: 1 }),
      'bad-arguments',
      /^Invalid arguments for add: a: .*number/,
    ],
    ['an error', call('fail'), 'error', /^fail failed: out of order$/],
    ['something thrown that is no Error', call('throw'), 'error', /^throw failed: \{"reason":"busy"\}$/],
    ['a rejection with undefined', call('reject'), 'error', /^reject failed: null$/],
    ['a result that has no JSON', call('circular'), 'error', /^circular failed: .*circular/],
  ])(
    '%s becomes an observation, is counted, and the policy goes on',
    async (_, said, outcome, observation) => {
      const circular: { self?: unknown } = {}
      circular.self = circular
      const tools = [
        add,
        tool('fail', () => {
          throw new Error('out of order')
        }),
        tool('throw', () => {
          throw { reason: 'busy' }
        }),
        tool('reject', () => Promise.reject(undefined)),
        tool('circular', () => circular),
      ]
      const rollout = await runRollout(turns(`${said}<|end|>`, answer), task, tools)
      expect(rollout).toMatchObject({ turns: 2, end: 'answer', finalAnswer: '5' })
      expect(rollout.toolCalls).toMatchObject([{ outcome, observation: expect.stringMatching(observation) }])
      expect(textByMask(rollout).given).toContain(rollout.toolCalls[0]?.observation)
      expectAligned(rollout)
    },
  )

  it('counts a malformed call, and keeps the text of its turn', async () => {
    const rollout = await runRollout(
      turns(`${call('add', { a: 1, b: 2 })}<tool_call>add</tool_call><|end|>`, answer),
      task,
      [add],
    )
    expect(rollout.toolCalls.map(({ outcome }) => outcome)).toEqual(['ok', 'malformed'])
    expect(rollout.toolCalls[1]).toMatchObject({ name: '', arguments: 'add' })
    expect(rollout.messages[1]).toEqual({
      role: 'assistant',
      content: `${call('add', { a: 1, b: 2 })}<tool_call>add</tool_call>`,
    })
    expect(rollout.messages[3]).toEqual({ role: 'tool', content: expect.stringContaining('Malformed') })
  })

  it.each([
    ['of the tool', { toolTimeout: 60_000 }, 10],
    ['of the rollout', { toolTimeout: 10 }, undefined],
  ])('times out a tool that ignores its signal: timeout %s', async (_, options, timeout) => {
    let signal: AbortSignal | undefined
    const stuck = tool(
      'stuck',
      (_input, context) => {
        signal = context.signal
        return never()
      },
      timeout,
    )
    const rollout = await runRollout(turns(`${call('stuck')}<|end|>`, answer), task, [stuck], options)
    expect(rollout.toolCalls).toMatchObject([
      { outcome: 'timeout', observation: 'stuck timed out after 10 ms' },
    ])
    expect(rollout.toolCalls[0]?.milliseconds).toBeGreaterThanOrEqual(9)
    expect(rollout.finalAnswer).toBe('5')
    expect(signal?.reason).toMatchObject({ name: 'TimeoutError' })
  })

  it('survives a tool that fails after its time', async () => {
    const late = tool(
      'late',
      () => new Promise((_, reject) => setTimeout(() => reject(new Error('late')), 15)),
      5,
    )
    const rollout = await runRollout(turns(`${call('late')}<|end|>`, answer), task, [late])
    expect(rollout.toolCalls).toMatchObject([{ outcome: 'timeout' }])
    // An unhandled rejection would fail the test run.
    await new Promise((resolve) => setTimeout(resolve, 30))
  })

  it('tells tools which rollout calls', async () => {
    const which = tool('which', (_, { rolloutId }) => rolloutId)
    const rollout = await runRollout(turns(`${call('which')}<|end|>`, answer), task, [which], {
      id: 'sum#7',
    })
    expect(rollout).toMatchObject({ id: 'sum#7', toolCalls: [{ observation: 'sum#7' }] })
  })

  it('cuts long results, at a whole character, and says so', async () => {
    const long = tool('long', () => `${'x'.repeat(9)}😀${'y'.repeat(100)}`)
    const rollout = await runRollout(turns(`${call('long')}<|end|>`, answer), task, [long], {
      maxObservationCharacters: 10,
    })
    const cut = `${'x'.repeat(9)}\n[truncated: the first 9 of 111 characters]`
    expect(rollout.toolCalls[0]?.observation).toBe(cut)
    expect(textByMask(rollout).given).toContain(`tool: ${cut}\n`)
  })
})

describe('caps', () => {
  it('ends after maxTurns; calls of the last turn are run and counted, their results are not appended', async () => {
    const policy = turns(`${call('add', { a: 1, b: 1 })}<|end|>`, `${call('add', { a: 2, b: 2 })}<|end|>`)
    const rollout = await runRollout(policy, task, [add], { maxTurns: 2 })
    expect(rollout).toMatchObject({ turns: 2, end: 'turns', finalAnswer: undefined, wellFormed: false })
    expect(rollout.toolCalls.map(({ observation }) => observation)).toEqual(['2', '4'])
    expect(rollout.tokens.at(-1)).toBe(endOfTurn)
    expect(rollout.mask.at(-1)).toBe(1)
    expect(rollout.messages.at(-1)?.role).toBe('assistant')
  })

  it('ends where maxTokens after the prompt are reached, observations included', async () => {
    const first = `${call('add', { a: 1, b: 1 })}<|end|>`
    const used = tokenizer.encode(first).length + tokenizer.encode('\ntool: 2\nassistant: ').length
    const rollout = await runRollout(turns(first, 'a long thought<|end|>'), task, [add], {
      maxTokens: used + 6,
    })
    expect(rollout).toMatchObject({ end: 'tokens', turns: 2, finalAnswer: undefined })
    expect(rollout.tokens.length).toBe(rollout.promptTokens + used + 6)
    expect(rollout.messages.at(-1)?.content).toBe('a long')
    expectAligned(rollout)
  })

  it('appends no observation that leaves no room to answer', async () => {
    const first = `${call('add', { a: 1, b: 1 })}<|end|>`
    const length = tokenizer.encode(first).length
    const observation = tokenizer.encode('\ntool: 2\nassistant: ').length
    const rollout = await runRollout(turns(first), task, [add], { maxTokens: length + observation })
    expect(rollout).toMatchObject({ end: 'tokens', turns: 1, toolCalls: [{ outcome: 'ok' }] })
    expect(rollout.tokens.length).toBe(rollout.promptTokens + length)
  })

  it('counts a call that the cap cuts short', async () => {
    const rollout = await runRollout(turns(`${call('add', { a: 1, b: 1 })}<|end|>`), task, [add], {
      maxTokens: 8,
    })
    expect(rollout).toMatchObject({
      end: 'tokens',
      toolCalls: [{ outcome: 'malformed' }],
      wellFormed: false,
    })
  })

  it('keeps to the longest sequence of the policy', async () => {
    const policy = turns('a long thought<|end|>')
    policy.maxTokens = template.prompt(task.messages, [add]).length + 3
    expect(await runRollout(policy, task, [add], { maxTokens: 100 })).toMatchObject({
      end: 'tokens',
      turns: 1,
    })
    expect(policy.samplings[0]?.maxTokens).toBe(3)
    policy.maxTokens -= 3
    await expect(runRollout(policy, task, [add])).rejects.toThrow(
      /^task "sum": must be short enough to leave room for a reply \(sequences have at most \d+ tokens, maxTokens is not set\), got a prompt of \d+ tokens$/,
    )
  })

  it('goes on after a turn cut by maxTurnTokens that calls, closing the turn, and ends without a call', async () => {
    const said = call('add', { a: 1, b: 1 })
    const maxTurnTokens = tokenizer.encode(said).length
    const rollout = await runRollout(
      turns(`${said} and so on<|end|>`, 'x'.repeat(maxTurnTokens + 1)),
      task,
      [add],
      { maxTurnTokens },
    )
    expect(rollout).toMatchObject({ turns: 2, end: 'tokens' })
    expect(textByMask(rollout).given).toContain('<|end|>\ntool: 2\n')
    expectAligned(rollout)
  })

  it('ends a turn at a stop string', async () => {
    const rollout = await runRollout(turns(`${call('add', { a: 1, b: 1 })} more`, answer), task, [add], {
      stop: ['</tool_call>'],
    })
    expect(rollout).toMatchObject({ end: 'answer', finalAnswer: '5', toolCalls: [{ observation: '2' }] })
    expect(textByMask(rollout).sampled).not.toContain('more')
    expect(textByMask(rollout).given).toContain('<|end|>\ntool: 2\n')
  })
})

describe('toolChoice', () => {
  it('none: bans the call token in every turn and runs nothing', async () => {
    const banned = turns(`${call('add', { a: 1, b: 1 })}<|end|>`)
    await expect(runRollout(banned, task, [add], { toolChoice: 'none' })).rejects.toThrow('banned token')
    expect(banned.samplings[0]?.logitBias).toEqual(new Map([[callToken, Number.NEGATIVE_INFINITY]]))
    expect(banned.sequences.every(({ released }) => released)).toBe(true)
  })

  it('none: does not run a call spelt in other tokens, and leaves the prompt as it is', async () => {
    const policy = turns(answer)
    policy.tokenizer = { ...tokenizer, decode: () => call('add', { a: 1, b: 1 }) }
    const rollout = await runRollout(policy, task, [add], { toolChoice: 'none' })
    expect(rollout).toMatchObject({ end: 'answer', toolCalls: [], turns: 1 })
    expect(Array.from(rollout.tokens.slice(0, rollout.promptTokens))).toEqual(
      template.prompt(task.messages, [add]),
    )
  })

  it('required: begins the first turn with a call token that is not trained', async () => {
    const rest = `${call('add', { a: 1, b: 1 }).slice('<tool_call>'.length)}<|end|>`
    const policy = turns(rest, answer)
    const rollout = await runRollout(policy, task, [add], { toolChoice: 'required' })
    expect(rollout).toMatchObject({
      end: 'answer',
      turns: 2,
      wellFormed: true,
      toolCalls: [{ outcome: 'ok', observation: '2' }],
    })
    const { promptTokens, tokens, mask } = rollout
    expect([tokens[promptTokens], mask[promptTokens], mask[promptTokens + 1]]).toEqual([callToken, 0, 1])
    expect(textByMask(rollout).sampled).toBe(rest + answer)
    expect(Array.from(tokens)).toEqual(policy.sequences[0]?.tokens)
    expect(policy.samplings[0]?.logitBias).toBeUndefined()
    expectAligned(rollout)
  })

  it('required: counts the forced token against maxTokens', async () => {
    const policy = turns('{"name": "add"}')
    const rollout = await runRollout(policy, task, [add], { toolChoice: 'required', maxTokens: 4 })
    expect(rollout.tokens.length - rollout.promptTokens).toBe(4)
    expect(rollout).toMatchObject({ end: 'tokens', toolCalls: [{ outcome: 'malformed' }] })
  })

  it('refuses what it cannot enforce', async () => {
    const policy = turns(answer)
    policy.tokenizer = { ...tokenizer, tokenId: () => undefined }
    for (const toolChoice of ['none', 'required'] as const) {
      await expect(runRollout(policy, task, [add], { toolChoice })).rejects.toMatchObject({
        code: 'ERR_TOOL_CHOICE',
        message: expect.stringContaining(`'${toolChoice}'`),
      })
    }
  })

  refuses(
    (tools: Tool[]) => runRollout(turns(answer), task, tools, { toolChoice: 'required' }),
    [
      [[], "tools: must be a list of at least one tool with toolChoice 'required', got []"],
      [[add, add], "tools: must be of different names, got [ 'add', 'add' ]"],
    ],
  )
})

describe('sampling options', () => {
  it('reach the policy', async () => {
    const policy = turns(answer)
    const options = { temperature: 0.5, topP: 0.9, topK: 20, minP: 0.05, stop: ['#'], seed: 2 ** 53 - 1 }
    await runRollout(policy, task, [add], options)
    expect(policy.samplings).toEqual([
      { ...options, stopTokens: [endOfTurn], maxTokens: expect.any(Number), signal: expect.any(AbortSignal) },
    ])
  })

  const atLeastOne = 'must be a whole number of at least 1'
  refuses(
    (options: RunRolloutOptions) => runRollout(turns(answer), task, [add], options),
    [
      [{ maxTurns: 0 }, `rollout.maxTurns: ${atLeastOne}, got 0`],
      [{ maxTurns: '3' }, `rollout.maxTurns: ${atLeastOne}, got '3'`],
      [{ maxTokens: 1.5 }, `rollout.maxTokens: ${atLeastOne}, got 1.5`],
      [{ temperature: -1 }, 'rollout.temperature: must be at least 0, got -1'],
      [{ temperature: Number.NaN }, 'rollout.temperature: must be at least 0, got NaN'],
      [{ topP: 0 }, 'rollout.topP: must be 0.000001 to 1, got 0'],
      [{ toolChoice: 'always' }, "rollout.toolChoice: must be one of auto, none, required, got 'always'"],
      [{ stop: [''] }, "rollout.stop[0]: must be text that is not empty, got ''"],
      [{ stop: '#' }, "rollout.stop: must be a list, got '#'"],
      [
        { toolTimeout: 2 ** 31 },
        'rollout.toolTimeout: must be greater than 0 and at most 2147483647, got 2147483648',
      ],
      [{ seed: -1 }, 'seed: must be a whole number of at least 0, got -1'],
      [{ seed: 2 ** 53 }, 'seed: must be a whole number from 0 to 9007199254740991, got 9007199254740992'],
      [{ seed: '1' }, "seed: must be a whole number of at least 0, got '1'"],
      [
        { maxTurn: 3 },
        'rollout.maxTurn: must be left out (there is no such option; did you mean maxTurns?), got 3',
      ],
    ],
  )

  it('that there are none of are refused by name', async () => {
    const refusal = runRollout(turns(answer), task, [add], { turns: 3 } as RunRolloutOptions)
    await expect(refusal).rejects.toThrow(InvalidOptionError)
    await expect(refusal).rejects.toThrow(
      /^rollout\.turns: must be left out \(there is no such option; known: maxTurns, .*\), got 3$/,
    )
  })
})

describe('abort', () => {
  it('while sampling keeps what there is', async () => {
    const controller = new AbortController()
    const policy = new ScriptedPolicy(() => {
      setTimeout(() => controller.abort(), 5)
      return never()
    })
    const rollout = await runRollout(policy, task, [add], { signal: controller.signal })
    expect(rollout).toMatchObject({ end: 'aborted', finalAnswer: undefined })
    expect(policy.sequences.every(({ released }) => released)).toBe(true)
  })

  it('does not wait for a tool', async () => {
    const controller = new AbortController()
    const stuck = tool('stuck', () => {
      setTimeout(() => controller.abort(), 5)
      return never()
    })
    const rollout = await runRollout(turns(`${call('stuck')}<|end|>`), task, [stuck], {
      signal: controller.signal,
    })
    expect(rollout).toMatchObject({
      end: 'aborted',
      turns: 1,
      toolCalls: [{ outcome: 'error', observation: 'stuck was stopped' }],
    })
  })

  it('before the start samples nothing', async () => {
    const policy = turns(answer)
    expect(await runRollout(policy, task, [add], { signal: AbortSignal.abort() })).toMatchObject({
      end: 'aborted',
      turns: 0,
    })
    expect(policy.samplings).toEqual([])
  })
})

it('rejects with what the engine says, and releases', async () => {
  const policy = new ScriptedPolicy(() => {
    throw new Error('the engine is gone')
  })
  await expect(runRollout(policy, task, [add])).rejects.toThrow('the engine is gone')
  expect(policy.sequences.every(({ released }) => released)).toBe(true)
})
