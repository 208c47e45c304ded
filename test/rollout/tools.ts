import { z } from 'zod'
import type { Task } from '../../lib/rollout/types.js'
import { defineTool } from '../../lib/tools/define-tool.js'

export const task: Task = { id: 'sum', messages: [{ role: 'user', content: 'How much?' }], answer: 5 }

export const add = defineTool({
  name: 'add',
  description: 'Adds two numbers',
  input: z.object({ a: z.number(), b: z.number() }),
  run: ({ a, b }) => a + b,
})

/** A tool without arguments. */
export const tool = (name: string, run: Parameters<typeof defineTool>[0]['run'], timeout?: number) =>
  defineTool({
    name,
    description: name,
    input: { type: 'object' },
    run,
    ...(timeout !== undefined && { timeout }),
  })

export const call = (name: string, input: unknown = {}) =>
  `<tool_call>${JSON.stringify({ name, arguments: input })}</tool_call>`

export const never = () => new Promise<never>(() => {})
