import { jsonSchema, tool } from 'ai'
import { expect, it } from 'vitest'
import { z } from 'zod'
import { calculator } from '../../lib/tools/calculator.js'
import { defineTool } from '../../lib/tools/define-tool.js'
import { exportedTools, toolList } from '../../lib/tools/tool-list.js'
import { allUnknown } from '../../lib/trainer/unknown-tools.js'

const echo = defineTool({
  name: 'echo',
  description: 'e',
  input: z.object({ a: z.string() }),
  run: ({ a }) => a,
})
const days = tool({
  description: 'days',
  inputSchema: jsonSchema<{ n: number }>({ type: 'object', properties: { n: { type: 'number' } } }),
  execute: async ({ n }) => `${n} days`,
})
const names = async (exported: unknown) => (await exportedTools(exported, 'x')).map(({ name }) => name)

it.each<[string, unknown, string[]]>([
  ['one tool', echo, ['echo']],
  ['a list', [echo, calculator], ['echo', 'calculator']],
  ['an object of tools', { some: echo, other: calculator }, ['echo', 'calculator']],
  ["the AI SDK's tools", { days, more: days }, ['days', 'more']],
  ['a list with those in it', [echo, { days }], ['echo', 'days']],
])('%s', async (_, exported, expected) => {
  expect(await names(exported)).toEqual(expected)
})

it("runs the AI SDK's tools", async () => {
  const [first] = await exportedTools({ days }, 'x')
  const context = { signal: new AbortController().signal, rolloutId: 'r' }
  expect(await first?.run({ n: 30 }, context)).toBe('30 days')
})

it.each<[string, unknown, string]>([
  ['a function', () => [echo], 'got [Function'],
  ['nothing in a list', [], 'got []'],
  ['nothing in an object', {}, 'got {}'],
  ['a text', 'echo', "got 'echo'"],
  ['a tool without a name', days, 'has no name: export { search: tool(...) }'],
  ['one among tools', { echo, other: 3 }, 'must be a tool of defineTool'],
  ['one in a list', [echo, null], 'tools.ts, element 1: must be'],
])('refuses %s', async (_, exported, message) => {
  await expect(exportedTools(exported, 'tools.ts')).rejects.toMatchObject({
    code: 'ERR_CONFIG',
    message: expect.stringContaining(message),
  })
})

it('an option takes a list of tools with different names', () => {
  expect(toolList.safeParse([echo, calculator]).success).toBe(true)
  for (const wrong of [{ days }, [days], [echo, echo], [undefined], new Array(1), undefined])
    expect(toolList.safeParse(wrong).success).toBe(false)
})

it('says where no call of a step is of a tool that there is', () => {
  const rollout = (...outcomes: string[]) => ({
    toolCalls: outcomes.map((outcome, index) => ({ name: `t${index}`, outcome })) as never,
  })
  expect(allUnknown([rollout(), rollout('unknown-tool', 'unknown-tool')], [echo])).toBe(
    'all 2 calls were of tools that there are not ("t0", "t1"); tools: echo',
  )
  expect(allUnknown([rollout('unknown-tool', 'ok')], [echo])).toBeUndefined()
  expect(allUnknown([rollout()], [echo])).toBeUndefined()
})
