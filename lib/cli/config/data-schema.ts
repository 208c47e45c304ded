// The keys of a config that say where questions, answers and conversations come from, and how answers are graded.

import { extname } from 'node:path'
import { z } from 'zod'
import { isRecord } from '../../core/is-record.js'
import { callback, kind, text, textOf } from '../../core/option-kinds.js'
import type { Message } from '../../policy/types.js'
import { jsonSchemaMatchShape } from '../../rewards/json-schema-match.js'
import { rubricShape } from '../../rewards/judge/options.js'
import { numericMatchShape } from '../../rewards/numeric-match.js'
import { regexMatchShape } from '../../rewards/regex-match.js'
import { rewardShape } from '../../rewards/reward-options.js'
import type { AnswerReward } from '../../rewards/rewards.js'
import type { Task } from '../../rollout/types.js'
import { openTasksShape } from '../../tasks/open-tasks.js'
import { splitShape } from '../../tasks/split.js'
import { isTool } from '../../tools/tool-list.js'
import type { Tool } from '../../tools/types.js'
import { readConversationsShape } from '../../traces/read-conversations.js'

export const answerRules = [
  'exact-match',
  'contains',
  'numeric-match',
  'regex-match',
  'json-schema-match',
  'llm-judge',
] as const
export type AnswerRule = (typeof answerRules)[number]

/** Of modules that a user may write. */
export const moduleExtensions = ['.ts', '.mts', '.js', '.mjs']

export function isModulePath(name: string): boolean {
  return moduleExtensions.includes(extname(name))
}

export function isAnswerRule(name: string): name is AnswerRule {
  return (answerRules as readonly string[]).includes(name)
}

const task = kind<Task>(
  'a task: { id, messages, answer }',
  (value) =>
    isRecord(value) && typeof value.id === 'string' && Array.isArray(value.messages) && 'answer' in value,
)
const tool = kind<Tool>('a tool made by defineTool', isTool)
const conversation = kind<{ messages: Message[] }>(
  'a conversation: { messages }',
  (value) => isRecord(value) && Array.isArray(value.messages),
)

export const taskFileShape = {
  /** .jsonl, .ndjson or .parquet, a folder of them, or several. */
  path: z.union([text, z.array(text).min(1)]),
  columns: openTasksShape.columns,
  system: openTasksShape.system,
  /** Share of the tasks that is kept for evaluation, chosen by a hash of the question. Default: none is. */
  heldOutShare: splitShape.heldOutShare.optional(),
  /** Another seed gives another split. Default 0. */
  splitSeed: splitShape.seed,
  limit: openTasksShape.limit,
}

/** A path, a file with its columns, or in a TypeScript config the tasks themselves. */
const tasks = z.union([text, z.array(task), z.strictObject(taskFileShape)])

// A config never holds the API key itself.
const { apiKey: _, cache: __, ...judgeKeys } = rubricShape
export const judgeConfigShape = {
  ...judgeKeys,
  /** A folder that keeps verdicts for the next run. Default: in memory. */
  cacheFolder: text.optional(),
}
export const judge = z.strictObject(judgeConfigShape)

export const rewardConfigShape = {
  /** How answers are graded: a rule, or a module whose default export is a reward function. Default: as the environment does. */
  answer: z
    .union([
      textOf(
        `one of ${answerRules.join(', ')}, a .ts or .js module whose default export is a reward function`,
        (name) => isAnswerRule(name) || isModulePath(name),
      ),
      callback<AnswerReward>(),
    ])
    .optional(),
  answerWeight: rewardShape.answerWeight.unwrap().optional(),
  formatWeight: rewardShape.formatWeight.unwrap().optional(),
  /** numeric-match: how far off an answer may be, as a share of the right one. Default 1e-6. */
  relativeTolerance: numericMatchShape.relativeTolerance.unwrap().optional(),
  /** numeric-match: how far off an answer may be. Default 0. */
  absoluteTolerance: numericMatchShape.absoluteTolerance.unwrap().optional(),
  /** regex-match: one pattern for all tasks. Default: each task's answer. */
  pattern: z.string().optional(),
  /** regex-match: whether the whole answer has to match, apart from surrounding white space. Default true. */
  whole: regexMatchShape.whole.unwrap().optional(),
  /** json-schema-match: one schema for all tasks. Default: each task's answer. */
  schema: jsonSchemaMatchShape.schema,
  /** json-schema-match with `schema`: the value also has to equal the task's answer. Default false. */
  equal: jsonSchemaMatchShape.equal.unwrap().optional(),
  /** llm-judge: how the judge is reached. */
  judge: judge.optional(),
}
const reward = z.strictObject(rewardConfigShape)

/** Where the questions come from: an environment, or tasks with tools. */
export const data = {
  /**
   * The name of a built-in environment, or a module whose default export is an environment or a function from { seed, settings }
   * to one.
   */
  environment: text.optional(),
  /** Settings of the environment: those of docs/tasks.md for a built-in one; a module's function gets them as `settings`. */
  environmentSettings: z.record(z.string(), z.unknown()).optional(),
  /** A path, { path, columns ... }, or in a TypeScript config the tasks themselves. Default: the environment's. */
  tasks: tasks.optional(),
  /**
   * Questions for evaluation, in the same forms as `tasks`. Default: those that `heldOutShare` keeps, or the environment's
   * held-out ones.
   */
  evaluationTasks: tasks.optional(),
  /** Names of built-in tools and paths of modules that export tools; in a TypeScript config also the tools themselves. */
  tools: z.array(z.union([text, tool])).optional(),
  /** How rollouts are graded. Default: as the environment does. */
  reward: reward.optional(),
  /**
   * Names of environment variables whose values must not be written anywhere, besides those whose names say that they hold a
   * secret. Default: none.
   */
  secrets: z.array(text).optional(),
}

export const conversationFileShape = {
  /** .jsonl, .ndjson, .parquet or .json, or a folder of the first three. */
  path: text,
  ...readConversationsShape,
}

/** A path, a file with its format, or in a TypeScript config the conversations themselves. */
export const conversations = z.union([text, z.array(conversation), z.strictObject(conversationFileShape)])

export type TasksConfig = z.input<typeof tasks>
export type RewardConfig = z.input<typeof reward>
export type JudgeConfig = z.input<typeof judge>
export type ConversationsConfig = z.input<typeof conversations>
