import { dynamicTool, jsonSchema, type ModelMessage, modelMessageSchema, tool } from 'ai'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { runRollout } from '../../lib/rollout/run-rollout.js'
import { runToolCall } from '../../lib/rollout/run-tool-call.js'
import { fromAiSdk } from '../../lib/tools/ai-sdk.js'
import type { Tool } from '../../lib/tools/types.js'
import { ScriptedPolicy } from '../rollout/scripted-policy.js'
import { call as written } from '../rollout/tools.js'

const call = (tools: readonly Tool[], name: string, input: unknown = {}, toolTimeout = 60_000) =>
  runToolCall(
    { kind: 'call', name, arguments: input as Record<string, unknown> },
    {
      tools,
      toolTimeout,
      toolConcurrency: 8,
      maxObservationCharacters: 1000,
      rolloutId: 'rollout',
      rolloutEnded: new AbortController().signal,
      signal: new AbortController().signal,
    },
  )

const weather = tool({
  description: 'The weather in a city',
  inputSchema: z.object({ city: z.string(), unit: z.enum(['C', 'F']).default('C') }),
  execute: async ({ city, unit }) => ({ city, temperature: 21, unit }),
})

describe('tools of the AI SDK', () => {
  it('are told what was said before the call, as the SDK tells it', async () => {
    const seen: ModelMessage[][] = []
    const tools = await fromAiSdk({
      weather: tool({
        inputSchema: z.object({ city: z.string() }),
        execute: async (_, { messages }) => {
          // The SDK's own schema accepts the conversation.
          seen.push(z.array(modelMessageSchema).parse(messages))
          return '21'
        },
      }),
    })
    const turns = [
      `Let me see.${written('weather', { city: 'Bern' })}${written('nothing')}<|end|>`,
      `${written('weather', { city: 'Basel' })}<|end|>`,
      '<answer>21</answer><|end|>',
    ]
    const policy = new ScriptedPolicy(async () => turns.shift() as string)
    const messages = [
      { role: 'system' as const, content: 'Be short.' },
      { role: 'user' as const, content: 'Where is it warmer?' },
    ]
    await runRollout(policy, { id: 'task', messages, answer: '' }, tools)
    const question = { role: 'user', content: 'Where is it warmer?' }
    const result = (toolCallId: string, toolName: string, value: string) => ({
      role: 'tool',
      content: [{ type: 'tool-result', toolCallId, toolName, output: { type: 'text', value } }],
    })
    expect(seen).toEqual([
      [question],
      [
        question,
        {
          role: 'assistant',
          content: [
            { type: 'text', text: 'Let me see.' },
            { type: 'tool-call', toolCallId: 'call-1', toolName: 'weather', input: { city: 'Bern' } },
            { type: 'tool-call', toolCallId: 'call-2', toolName: 'nothing', input: {} },
          ],
        },
        result('call-1', 'weather', '21'),
        result('call-2', 'nothing', 'There is no tool "nothing". Tools: weather'),
      ],
    ])
  })

  it('with zod: described, checked, defaults filled in', async () => {
    const tools = await fromAiSdk({ weather })
    expect(tools).toMatchObject([
      {
        name: 'weather',
        description: 'The weather in a city',
        parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
      },
    ])
    expect(await call(tools, 'weather', { city: 'Bern' })).toMatchObject({
      outcome: 'ok',
      observation: '{"city":"Bern","temperature":21,"unit":"C"}',
    })
    expect(await call(tools, 'weather', { city: 3 })).toMatchObject({
      outcome: 'bad-arguments',
      observation: expect.stringMatching(/^Invalid arguments for weather: city: /),
    })
  })

  it('with jsonSchema(), its own validation included', async () => {
    const tools = await fromAiSdk({
      double: tool({
        inputSchema: jsonSchema<{ n: number }>(
          async () => ({ type: 'object', properties: { n: { type: 'number' } }, required: ['n'] }),
          {
            validate: async (value) =>
              (value as { n: number }).n < 10
                ? { success: true, value: value as { n: number } }
                : { success: false, error: new Error('n: must be under 10') },
          },
        ),
        execute: ({ n }) => n * 2,
      }),
    })
    expect(await call(tools, 'double', { n: 4 })).toMatchObject({ outcome: 'ok', observation: '8' })
    expect(await call(tools, 'double', {})).toMatchObject({ outcome: 'bad-arguments' })
    expect(await call(tools, 'double', { n: 11 })).toMatchObject({
      outcome: 'bad-arguments',
      observation: 'Invalid arguments for double: n: must be under 10',
    })
  })

  it('with another library that speaks Standard Schema', async () => {
    const standard = {
      '~standard': {
        version: 1 as const,
        vendor: 'other',
        validate: (value: unknown) =>
          typeof (value as { word?: unknown }).word === 'string'
            ? { value }
            : { issues: [{ message: 'no word' }] },
        jsonSchema: {
          input: () => ({ type: 'object', properties: { word: {} } }),
          output: () => ({}),
        },
      },
    }
    const tools = await fromAiSdk({ say: { inputSchema: standard, execute: ({ word }) => word } })
    expect(await call(tools, 'say', { word: 'a' })).toMatchObject({ outcome: 'ok', observation: 'a' })
    expect(await call(tools, 'say', {})).toMatchObject({
      outcome: 'bad-arguments',
      observation: 'Invalid arguments for say: no word',
    })
  })

  it('dynamic, lazy, and without arguments', async () => {
    const tools = await fromAiSdk({
      dynamic: dynamicTool({ inputSchema: z.object({}), execute: async () => 'dynamic' }),
      lazy: { inputSchema: () => jsonSchema({ type: 'object' }), execute: () => 'lazy' },
      bare: { execute: () => 'bare' },
    })
    for (const { name } of tools)
      expect(await call(tools, name)).toMatchObject({ outcome: 'ok', observation: name })
  })

  it('that yield: the last is the result', async () => {
    const tools = await fromAiSdk({
      steps: tool({
        inputSchema: z.object({}),
        async *execute() {
          yield 'half'
          yield 'whole'
        },
      }),
    })
    expect(await call(tools, 'steps')).toMatchObject({ observation: 'whole' })
  })

  it('get the signal and the context', async () => {
    let aborted = false
    let context: unknown
    const tools = await fromAiSdk(
      {
        wait: tool({
          inputSchema: z.object({}),
          execute: (_, { abortSignal, experimental_context }) => {
            context = experimental_context
            abortSignal?.addEventListener('abort', () => {
              aborted = true
            })
            return new Promise<string>(() => {})
          },
        }),
      },
      { context: { user: 'u' } },
    )
    expect(await call(tools, 'wait', {}, 300)).toMatchObject({ outcome: 'timeout' })
    expect(aborted).toBe(true)
    expect(context).toEqual({ user: 'u' })
  })

  it.each([
    [{ type: 'text', value: 'as text' }, 'ok', 'as text'],
    [{ type: 'json', value: { a: 1 } }, 'ok', '{"a":1}'],
    [{ type: 'error-text', value: 'closed' }, 'error', 'shown failed: closed'],
    [{ type: 'error-json', value: [1] }, 'error', 'shown failed: [1]'],
    [{ type: 'execution-denied', reason: 'no' }, 'error', 'shown failed: no'],
    [
      {
        type: 'content',
        value: [
          { type: 'text', text: 'a' },
          { type: 'text', text: 'b' },
        ],
      },
      'ok',
      'a\nb',
    ],
    [
      { type: 'content', value: [{ type: 'image-data', data: 'AA==', mediaType: 'image/png' }] },
      'error',
      'shown failed: the result is 1 image (image/png), but the policy reads text only',
    ],
    [
      { type: 'content', value: [{ type: 'file-data', data: 'AA==', mediaType: 'application/pdf' }] },
      'ok',
      '[application/pdf left out: the policy reads text only]',
    ],
    [
      { type: 'hologram' },
      'error',
      'shown failed: toModelOutput returned type "hologram", which is not known',
    ],
  ])('toModelOutput %j', async (output, outcome, observation) => {
    const tools = await fromAiSdk({ shown: { execute: () => 1, toModelOutput: () => output } })
    expect(await call(tools, 'shown')).toMatchObject({ outcome, observation })
  })

  it.each([
    ['no execute', { inputSchema: z.object({}) }, /AI SDK tool "it": has no execute function/],
    ['needs approval', { ...weather, needsApproval: true }, /AI SDK tool "it": needs approval/],
    [
      'run by a provider',
      { type: 'provider', execute: () => 1 },
      /AI SDK tool "it": is run by a model provider/,
    ],
    [
      'an input that is no object',
      { inputSchema: z.string(), execute: () => 1 },
      /AI SDK tool "it": input\.type: must be "object", got 'string'/,
    ],
    ['zod 3', { inputSchema: { _def: {}, '~standard': { vendor: 'zod' } }, execute: () => 1 }, /zod 3/],
    [
      'no JSON Schema',
      { inputSchema: { '~standard': { vendor: 'other' } }, execute: () => 1 },
      /inputSchema: must be a schema that gives its JSON Schema, got one of other/,
    ],
  ])('%s: refused by name', async (_, it, message) => {
    await expect(fromAiSdk({ it: it as never })).rejects.toThrow(message)
  })

  it('names that no policy can write are refused', async () => {
    await expect(fromAiSdk({ 'a tool': weather })).rejects.toThrow(/AI SDK tool "a tool": its name must be/)
    await expect(fromAiSdk([weather] as never)).rejects.toThrow(
      /^fromAiSdk\.tools: must be an object of tools, each under its name, got \[/,
    )
  })
})
