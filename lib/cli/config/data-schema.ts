// The keys of a config that say where questions, answers and conversations come from, and how answers are graded.

import { extname } from 'node:path'
import { z } from 'zod'
import { isRecord } from '../../core/is-record.js'
import type { Message } from '../../policy/types.js'
import type { AnswerReward } from '../../rewards/rewards.js'
import type { Task } from '../../rollout/types.js'
import type { Tool } from '../../tools/types.js'
import { conversationFormats } from '../../traces/read-conversations.js'

const count = z.int().min(1)
const notNegative = z.number().min(0)

export const answerRules = [
  'exact-match',
  'numeric-match',
  'regex-match',
  'json-schema-match',
  'llm-judge',
] as const
export type AnswerRule = (typeof answerRules)[number]

const moduleExtensions = ['.ts', '.mts', '.js', '.mjs']

export function isModulePath(name: string): boolean {
  return moduleExtensions.includes(extname(name))
}

export function isAnswerRule(name: string): name is AnswerRule {
  return (answerRules as readonly string[]).includes(name)
}

const task = z.custom<Task>(
  (value) =>
    isRecord(value) && typeof value.id === 'string' && Array.isArray(value.messages) && 'answer' in value,
  'must be a task: { id, messages, answer }',
)
const tool = z.custom<Tool>(
  (value) => isRecord(value) && typeof value.name === 'string' && typeof value.run === 'function',
  'must be a tool made by defineTool',
)
const conversation = z.custom<{ messages: Message[] }>(
  (value) => isRecord(value) && Array.isArray(value.messages),
  'must be a conversation: { messages }',
)

const taskFile = z.strictObject({
  /** .jsonl, .ndjson or .parquet, a folder of them, or several. */
  path: z.union([z.string(), z.array(z.string()).min(1)]),
  columns: z
    .strictObject({
      question: z.string().exactOptional(),
      messages: z.string().exactOptional(),
      answer: z
        .union([z.string(), z.strictObject({ column: z.string(), pattern: z.string() })])
        .exactOptional(),
      id: z.string().exactOptional(),
      metadata: z.array(z.string()).exactOptional(),
    })
    .exactOptional(),
  /** A system message before every question. */
  system: z.string().exactOptional(),
  /** Share of the tasks, chosen by a hash of the question, that is kept for evaluation. */
  heldOutShare: z.number().gt(0).lt(1).exactOptional(),
  splitSeed: z.int().min(0).exactOptional(),
  limit: count.exactOptional(),
})

/** A path, a file with its columns, or in a TypeScript config the tasks themselves. */
const tasks = z.union([z.string(), z.array(task), taskFile])

export const judge = z.strictObject({
  baseURL: z.string(),
  model: z.string(),
  /** The environment variable that holds the key. A key itself is never in a config. */
  apiKeyVariable: z.string().exactOptional(),
  rubric: z.string().exactOptional(),
  votes: count.exactOptional(),
  temperature: notNegative.nullable().exactOptional(),
  jsonMode: z.boolean().exactOptional(),
  body: z.record(z.string(), z.unknown()).exactOptional(),
  concurrency: count.exactOptional(),
  timeout: notNegative.exactOptional(),
  retries: z.int().min(0).exactOptional(),
  minimumDelay: notNegative.exactOptional(),
  maximumDelay: notNegative.exactOptional(),
  /** A folder that keeps verdicts for the next run. Default: in memory. */
  cacheFolder: z.string().exactOptional(),
})

const reward = z.strictObject({
  answer: z
    .union([
      z
        .string()
        .refine(
          (name) => isAnswerRule(name) || isModulePath(name),
          `must be one of ${answerRules.join(', ')}, or a .ts or .js module whose default export is a reward function`,
        ),
      z.custom<AnswerReward>((value) => typeof value === 'function', 'must be a reward function'),
    ])
    .exactOptional(),
  answerWeight: notNegative.exactOptional(),
  formatWeight: notNegative.exactOptional(),
  /** numeric-match. */
  relativeTolerance: notNegative.exactOptional(),
  absoluteTolerance: notNegative.exactOptional(),
  /** regex-match; default: each task's answer. */
  pattern: z.string().exactOptional(),
  whole: z.boolean().exactOptional(),
  /** json-schema-match; default: each task's answer. */
  schema: z.record(z.string(), z.unknown()).exactOptional(),
  equal: z.boolean().exactOptional(),
  /** llm-judge. */
  judge: judge.exactOptional(),
})

/** Where the questions come from: an environment, or tasks with tools. */
export const data = {
  /** A built-in one's name, or a module whose default export is an environment or a function of { seed, settings } that makes one. */
  environment: z.string().exactOptional(),
  /** Of a built-in one: docs/tasks.md. Of a module: what its function makes of them. */
  environmentSettings: z.record(z.string(), z.unknown()).exactOptional(),
  tasks: tasks.exactOptional(),
  evaluationTasks: tasks.exactOptional(),
  /**
   * Names of built-in tools and paths of modules that export tools. In a TypeScript config also tools
   * themselves.
   */
  tools: z.array(z.union([z.string(), tool])).exactOptional(),
  reward: reward.exactOptional(),
  /** Names of environment variables whose values must not be written anywhere, besides those whose names tell. */
  secrets: z.array(z.string()).exactOptional(),
}

/** A path, a file with its format, or in a TypeScript config the conversations themselves. */
export const conversations = z.union([
  z.string(),
  z.array(conversation),
  z.strictObject({
    path: z.string(),
    format: z.enum(conversationFormats).exactOptional(),
    answerTags: z.enum(['add', 'keep']).exactOptional(),
  }),
])

export type TasksConfig = z.infer<typeof tasks>
export type RewardConfig = z.infer<typeof reward>
export type JudgeConfig = z.infer<typeof judge>
export type ConversationsConfig = z.infer<typeof conversations>
