// The server over a small random policy: HTTP carries exactly what the engine sampled, and the policy trains on it.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createAtlas } from '../../lib/families/atlas/atlas.js'
import { Policy } from '../../lib/policy/policy.js'
import { tokenSequences } from '../../lib/rollout/token-sequences.js'
import type { TokenSequence } from '../../lib/rollout/types.js'
import { type AgentServer, createServer } from '../../lib/server/create-server.js'
import { packPolicyBatch } from '../../lib/trainer/batch.js'
import { lookupTool, post } from './conversations.js'

let policy: Policy
let server: AgentServer

beforeAll(async () => {
  const { tokenizer, template, model } = createAtlas()
  const small = { hiddenSize: 32, layers: 2, heads: 2, kvHeads: 1, headDim: 16, intermediateSize: 64 }
  policy = await Policy.create({ tokenizer, template, config: { ...model, ...small }, seed: 3, threads: 1 })
  server = createServer({ policy })
  await server.listen()
})
afterAll(async () => {
  await server?.close()
  await policy?.close()
})

const user = (content: string) => ({ role: 'user', content })

function talker(options: Partial<Parameters<AgentServer['startRollout']>[0]> = {}) {
  const rollout = server.startRollout({ task: { id: 'task' }, ...options })
  const say = async (messages: object[], more: object = {}) => {
    const { status, json } = await post(
      `${rollout.baseURL}/chat/completions`,
      { model: 'policy', messages, max_tokens: 24, return_token_ids: true, logprobs: true, ...more },
      { authorization: `Bearer ${rollout.apiKey}` },
    )
    if (status !== 200) throw new Error(JSON.stringify(json))
    return json
  }
  return { rollout, say }
}

/** Largest difference between a recorded logprob and that of the training forward. */
async function difference({ tokens, mask, logprobs }: TokenSequence): Promise<number> {
  const now = await policy.logprobs(tokens, Int32Array.of(0, tokens.length))
  return Math.max(
    ...Array.from(mask, (bit, at) =>
      bit ? Math.abs((now.logprobs[at] as number) - (logprobs[at] as number)) : 0,
    ),
  )
}

describe('a real policy behind the server', () => {
  it('is recorded token for token, over turns, branches and rewritten histories', async () => {
    const { rollout, say } = talker({ sampling: { temperature: 1, seed: 11 } })
    const first = await say([user('capital of Peru?')], { tools: [lookupTool] })
    const history = [
      user('capital of Peru?'),
      { role: 'assistant', content: first.choices[0].message.content ?? '' },
    ]
    // A random policy may happen to write a call that can be read; the reply then carries it.
    if (first.choices[0].message.tool_calls) history[1] = first.choices[0].message
    const second = await say([...history, user('and of Chile?')], { tools: [lookupTool] })
    const branch = await say([...history, user('and of Cuba?')], { tools: [lookupTool] })
    await say([user('something else altogether')], { tools: [lookupTool] })
    expect(second.usage.prompt_tokens_details.cached_tokens).toBe(
      first.prompt_token_ids.length + first.choices[0].token_ids.length,
    )
    const sequences = tokenSequences(await rollout.finish({ correct: true }))
    expect(sequences).toHaveLength(3)
    const [, main, branched] = sequences as [TokenSequence, TokenSequence, TokenSequence]
    expect(Array.from(main.tokens)).toEqual([...second.prompt_token_ids, ...second.choices[0].token_ids])
    expect(Array.from(branched.tokens)).toEqual([...branch.prompt_token_ids, ...branch.choices[0].token_ids])
    const sampled = [...first.choices[0].token_ids, ...second.choices[0].token_ids]
    expect(Array.from(main.tokens.filter((_, at) => main.mask[at]))).toEqual(sampled)
    expect(Array.from(branched.tokens.filter((_, at) => branched.mask[at]))).toEqual(
      branch.choices[0].token_ids,
    )
    for (const sequence of sequences) expect(await difference(sequence)).toBeLessThan(1e-4)
  })

  it('says the same in pieces as at once, for one seed', async () => {
    const body = {
      model: 'policy',
      messages: [user('area of Kenya?')],
      max_tokens: 40,
      seed: 5,
      return_token_ids: true,
    }
    const url = talker().rollout.baseURL
    const whole = await post(`${url}/chat/completions`, body)
    const response = await fetch(`${url}/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ...body, stream: true }),
    })
    const chunks = (await response.text())
      .split('\n\n')
      .filter((event) => event.startsWith('data: {'))
      .map((event) => JSON.parse(event.slice('data: '.length)))
    const choices = chunks.flatMap((chunk) => chunk.choices)
    expect(choices.flatMap((choice) => choice.token_ids ?? [])).toEqual(whole.json.choices[0].token_ids)
    expect(choices.map((choice) => choice.delta.content ?? '').join('')).toBe(
      whole.json.choices[0].message.content,
    )
    expect(chunks.length).toBeGreaterThan(5)
  })

  it('goes on with new weights after a step, cached prompts included', async () => {
    const play = async () => {
      const { rollout, say } = talker({ sampling: { temperature: 1, seed: 21 } })
      await say([user('borders of Chad?')])
      return rollout.finish({ correct: true })
    }
    const before = await play()
    const batch = packPolicyBatch([{ ...before, accuracyAdvantage: 1, efficiencyAdvantage: 0 }])
    const result = await policy.policyStep(batch, {}, { learningRate: 0.05 })
    expect(result.skipped).toBe(false)
    expect(result.logprobDifference).toBeLessThan(1e-4)
    const after = await play()
    expect(await difference(after)).toBeLessThan(1e-4)
    expect(await difference(before)).toBeGreaterThan(1e-3)
  })

  it('stops sampling when its client goes away, and frees the sequences', async () => {
    const leaving = new AbortController()
    const broken = fetch(`${talker().rollout.baseURL}/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      // Any of the 128 may end early by chance of its seed, but it is most unlikely that all do before the client leaves.
      body: JSON.stringify({ model: 'policy', messages: [user('x')], max_tokens: 400, n: 128 }),
      signal: leaving.signal,
    })
    const until = async (reached: (sampling: number) => boolean) => {
      while (!reached((await policy.generationStats()).sampling))
        await new Promise((resolve) => setTimeout(resolve, 5))
    }
    await until((sampling) => sampling > 0)
    leaving.abort()
    await expect(broken).rejects.toThrow()
    await until((sampling) => sampling === 0)
    await server.close()
    expect((await policy.generationStats()).live).toBe(0)
  })
})
