import { describe, expect, it } from 'vitest'
import { deriveSeed } from '../../lib/core/seed.js'
import { runGroup } from '../../lib/rollout/group.js'
import { refuses } from '../core/wrong-options.js'
import { ScriptedPolicy, template, tokenizer } from './scripted-policy.js'
import { add, call, never, task, tool } from './tools.js'

/** A policy that calls `add` with a number that depends on the seed, then answers with the result. */
const adding = () =>
  new ScriptedPolicy(async (conversation, { seed = 0 }) => {
    await new Promise((resolve) => setTimeout(resolve, seed % 5))
    const result = /tool: (\d+)/.exec(conversation)?.[1]
    return result ? `<answer>${result}</answer><|end|>` : `${call('add', { a: 0, b: seed })}<|end|>`
  })

const allReleased = (policy: ScriptedPolicy) => policy.sequences.every(({ released }) => released)

describe('runGroup', () => {
  it('prefills the prompt once and runs 64 rollouts of it at once, each with its own seed', async () => {
    const policy = adding()
    const warnings: Error[] = []
    const onWarning = (warning: Error) => warnings.push(warning)
    process.on('warning', onWarning)
    const rollouts = await runGroup(policy, task, [add], {
      size: 64,
      seed: 11,
      signal: new AbortController().signal,
    })
    process.off('warning', onWarning)
    expect(warnings).toEqual([])
    expect(rollouts.map(({ id }) => id)).toEqual(Array.from({ length: 64 }, (_, index) => `sum#${index}`))
    expect(rollouts.map(({ finalAnswer }) => finalAnswer)).toEqual(
      Array.from({ length: 64 }, (_, index) => String(deriveSeed(11, 'rollout', index))),
    )
    expect(policy.sequences.length).toBe(65)
    expect(policy.sequences.map(({ prefills }) => prefills)).toEqual([1, ...Array<number>(64).fill(0)])
    expect(policy.sequences[0]?.tokens).toEqual(template.prompt(task.messages, [add]))
    expect(allReleased(policy)).toBe(true)
  })

  it('gives the same rollouts for the same seed, others for another', async () => {
    const tokens = async (seed: number) =>
      (await runGroup(adding(), task, [add], { size: 8, seed })).map((rollout) =>
        tokenizer.decode(rollout.tokens),
      )
    expect(await tokens(1)).toEqual(await tokens(1))
    expect(await tokens(1)).not.toEqual(await tokens(2))
  })

  it('keeps calls of one tool within toolConcurrency, over all groups', async () => {
    let running = 0
    let most = 0
    const busy = tool('busy', async () => {
      most = Math.max(most, ++running)
      await new Promise((resolve) => setTimeout(resolve, 2))
      running--
      return 'done'
    })
    const policy = () =>
      new ScriptedPolicy((conversation) =>
        conversation.includes('tool: ') ? '<answer>1</answer><|end|>' : `${call('busy')}<|end|>`,
      )
    const group = () => runGroup(policy(), task, [busy], { size: 8, toolConcurrency: 3 })
    await Promise.all([group(), group(), group()])
    expect(most).toBe(3)
  })

  it('times calls from when they have a place', async () => {
    const slow = tool('slow', () => new Promise((resolve) => setTimeout(resolve, 25, 'done')), 100)
    const policy = new ScriptedPolicy((conversation) =>
      conversation.includes('tool: ') ? '<answer>1</answer><|end|>' : `${call('slow')}<|end|>`,
    )
    // The last of eight waits 175 ms for its place.
    const rollouts = await runGroup(policy, task, [slow], { size: 8, toolConcurrency: 1 })
    expect(rollouts.flatMap(({ toolCalls }) => toolCalls.map(({ outcome }) => outcome))).toEqual(
      Array(8).fill('ok'),
    )
  })

  it('frees the place of a call that ran out of time', async () => {
    let started = 0
    const stuck = tool(
      'stuck',
      () => {
        started++
        return never()
      },
      5,
    )
    const policy = new ScriptedPolicy((conversation) =>
      conversation.includes('tool: ') ? '<answer>1</answer><|end|>' : `${call('stuck')}<|end|>`,
    )
    const rollouts = await runGroup(policy, task, [stuck], { size: 4, toolConcurrency: 1 })
    expect(started).toBe(4)
    expect(rollouts.map(({ end }) => end)).toEqual(Array(4).fill('answer'))
  })

  it('ends all rollouts on abort, whatever they wait for, and releases them', async () => {
    const controller = new AbortController()
    let waiting = 0
    const stuck = tool('stuck', () => {
      waiting++
      return never()
    })
    const policy = new ScriptedPolicy((_conversation, _options, sequence) => {
      if (sequence === 64) setTimeout(() => controller.abort(), 5)
      return sequence % 2 === 0 ? never() : `${call('stuck')}<|end|>`
    })
    const rollouts = await runGroup(policy, task, [stuck], {
      size: 64,
      toolConcurrency: 4,
      signal: controller.signal,
    })
    expect(rollouts.map(({ end }) => end)).toEqual(Array(64).fill('aborted'))
    // The calls that waited for a place were never made.
    expect(waiting).toBe(4)
    expect(allReleased(policy)).toBe(true)
  })

  it('stops the others where one rejects, releases all and rejects with its error', async () => {
    const policy = new ScriptedPolicy((_conversation, _options, sequence) => {
      if (sequence === 3) throw new Error('the engine is gone')
      return never()
    })
    await expect(runGroup(policy, task, [add], { size: 6 })).rejects.toThrow('the engine is gone')
    expect(policy.sequences.length).toBe(7)
    expect(allReleased(policy)).toBe(true)
  })

  it('releases the prompt where prefilling fails', async () => {
    const policy = adding()
    const createSequence = policy.createSequence.bind(policy)
    policy.createSequence = (tokens) =>
      Object.assign(createSequence(tokens), { prefill: () => Promise.reject(new Error('no memory')) })
    await expect(runGroup(policy, task, [add], { size: 2 })).rejects.toThrow('no memory')
    expect(policy.sequences.length).toBe(1)
    expect(allReleased(policy)).toBe(true)
  })

  describe('refuses size', () => {
    refuses(
      (size: number) => runGroup(adding(), task, [add], { size }),
      [
        [0, 'size: must be a whole number of at least 1, got 0'],
        [1.5, 'size: must be a whole number of at least 1, got 1.5'],
        ['2', "size: must be a whole number of at least 1, got '2'"],
        [undefined, 'size: must be a whole number of at least 1, got undefined'],
      ],
    )
  })
})

describe('deriveSeed', () => {
  it('stays what it is: seeds of kept runs depend on it', () => {
    expect(deriveSeed(0)).toBe(7344274391632976)
    expect(deriveSeed(7, 'rollouts', 3, 1)).toBe(3241383803092638)
  })

  it('gives whole numbers below 2^53, all different, for neighbouring purposes', () => {
    const seeds = [0, 1, 2].flatMap((seed) =>
      Array.from({ length: 1000 }, (_, index) =>
        deriveSeed(deriveSeed(seed, 'rollouts', 0, 0), 'rollout', index),
      ),
    )
    expect(seeds.every((seed) => Number.isSafeInteger(seed) && seed >= 0)).toBe(true)
    expect(new Set(seeds).size).toBe(3000)
    expect(Math.max(...seeds)).toBeGreaterThan(2 ** 52)
  })
})
