import { isDeepStrictEqual } from 'node:util'
import { z } from 'zod'
import { heldExactly, parseJsonKeeping } from '../core/exact-json.js'
import { ExactNumber } from '../core/exact-number.js'
import { isRecord } from '../core/is-record.js'
import { compileJsonSchema, type ValidateFunction } from '../core/json-schema-compiler.js'
import { Described, InvalidOptionError } from '../core/option-error.js'
import { instance } from '../core/option-kinds.js'
import { type OptionsOf, readOptions } from '../core/options.js'
import type { Task } from '../rollout/types.js'
import { withoutCodeFence } from './code-fence.js'
import { identified } from './reward-identity.js'
import { wrongTaskAnswer } from './task-answer.js'
import type { AnswerReward } from './types.js'

export const jsonSchemaMatchShape = {
  /** JSON Schema (2020-12) of every right answer. Default: each task's `answer` is its schema. */
  schema: instance<Record<string, unknown>>('a JSON Schema').optional(),
  /** With `schema`: also the value has to equal the task's `answer`. Default false. */
  equal: z.boolean().default(false),
}
const jsonSchemaMatchOptions = z
  .strictObject(jsonSchemaMatchShape)
  .refine(({ schema, equal }) => !equal || schema !== undefined, {
    path: ['equal'],
    message: 'false where there is no schema (the value is compared with the answer then)',
  })
export interface JsonSchemaMatchOptions extends OptionsOf<typeof jsonSchemaMatchShape> {}

/** Right if the final answer is JSON that fits a schema; a code fence around it is allowed. */
export function jsonSchemaMatch(options: JsonSchemaMatchOptions = {}): AnswerReward {
  const { schema, equal } = readOptions(jsonSchemaMatchOptions, options, 'jsonSchemaMatch')
  const fixed = schema === undefined ? undefined : compile(schema, 'jsonSchemaMatch.schema')
  const compiled = new WeakMap<object, ValidateFunction>()
  const validatorOf = (task: Task) => fixed ?? ofTask(task, compiled)
  const grade: AnswerReward = ({ finalAnswer }, task) => {
    const validate = validatorOf(task)
    const value = finalAnswer === undefined ? undefined : parseJson(finalAnswer)
    if (value === undefined || !validate(rounded(value))) return false
    return !equal || isDeepStrictEqual(heldExactly(value, '', 'text'), task.answer)
  }
  return identified('json-schema-match', { schema, equal }, grade, (task) => {
    validatorOf(task)
  })
}

function ofTask(task: Task, compiled: WeakMap<object, ValidateFunction>): ValidateFunction {
  const { id, answer } = task
  if (typeof answer !== 'object' || answer === null || Array.isArray(answer)) {
    throw wrongTaskAnswer(task, 'jsonSchemaMatch', 'a JSON Schema')
  }
  const validate = compiled.get(answer) ?? compile(answer as Record<string, unknown>, `tasks["${id}"].answer`)
  compiled.set(answer, validate)
  return validate
}

function compile(schema: Record<string, unknown>, option: string): ValidateFunction {
  try {
    return compileJsonSchema(schema, { allErrors: false, strict: true, patterns: 'own' })
  } catch (error) {
    const given = new Described(`one that is none: ${(error as Error).message}`)
    throw new InvalidOptionError(option, 'a valid JSON Schema', given, { cause: error })
  }
}

/** What a schema says of a number (its kind, its range) needs no digits beyond those that JavaScript holds. */
function rounded(value: unknown): unknown {
  if (value instanceof ExactNumber) return Number(value.text)
  if (Array.isArray(value)) return value.map(rounded)
  if (!isRecord(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, rounded(inner)]))
}

function parseJson(text: string): unknown {
  try {
    return parseJsonKeeping(withoutCodeFence(text), 'unheld')
  } catch {
    // Not JSON: a wrong answer.
    return undefined
  }
}
