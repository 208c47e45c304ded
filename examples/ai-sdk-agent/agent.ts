// The agent of a shop, as its owner wrote it: Vercel AI SDK, two tools, nothing of hdpo. It asks whatever OpenAI-compatible model it is
// pointed at.
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { generateText, stepCountIs, tool } from 'ai'
import { z } from 'zod'
import { priceOf, stockOf } from '../shop/shop.js'

const item = z.object({ item: z.string() })

const tools = {
  price: tool({
    description: 'Price of an item',
    inputSchema: item,
    execute: async ({ item }) => priceOf(item) ?? 'no such item',
  }),
  stock: tool({
    description: 'How many of an item there are',
    inputSchema: item,
    execute: async ({ item }) => stockOf(item) ?? 'no such item',
  }),
}

export interface Model {
  baseURL: string
  apiKey: string
  signal?: AbortSignal
}

export async function answer(question: string, { baseURL, apiKey, signal }: Model): Promise<string> {
  const provider = createOpenAICompatible({ name: 'shop', baseURL, apiKey })
  const { text } = await generateText({
    model: provider('policy'),
    prompt: question,
    tools,
    stopWhen: stepCountIs(3),
    ...(signal && { abortSignal: signal }),
  })
  return /<answer>(.*)<\/answer>/.exec(text)?.[1] ?? ''
}
