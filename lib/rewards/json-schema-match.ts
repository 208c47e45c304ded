import { isDeepStrictEqual } from 'node:util'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import type { Task } from '../rollout/types.js'
import type { AnswerReward } from './types.js'

export interface JsonSchemaMatchOptions {
  /** JSON Schema (2020-12) of every right answer. Default: each task's `answer` is the schema of its own. */
  schema?: Record<string, unknown>
  /** With `schema`: also the value has to equal the task's `answer`. Default false. */
  equal?: boolean
}

/** Right where the final answer is JSON that fits a schema; a code fence around it is allowed. */
export function jsonSchemaMatch({ schema, equal = false }: JsonSchemaMatchOptions = {}): AnswerReward {
  if (equal && schema === undefined)
    throw new TypeError('equal: needs schema, for answer is compared with the value')
  const fixed = schema === undefined ? undefined : compile(schema, 'schema')
  const compiled = new WeakMap<object, ValidateFunction>()
  return ({ finalAnswer }, task) => {
    const validate = fixed ?? ofTask(task, compiled)
    const value = finalAnswer === undefined ? undefined : parseJson(finalAnswer)
    if (value === undefined || !validate(value)) return false
    return !equal || isDeepStrictEqual(value, task.answer)
  }
}

function ofTask({ id, answer }: Task, compiled: WeakMap<object, ValidateFunction>): ValidateFunction {
  if (typeof answer !== 'object' || answer === null || Array.isArray(answer)) {
    throw new TypeError(
      `task "${id}": jsonSchemaMatch needs answer to be a JSON Schema, got ${JSON.stringify(answer)}`,
    )
  }
  const validate = compiled.get(answer) ?? compile(answer as Record<string, unknown>, `task "${id}": answer`)
  compiled.set(answer, validate)
  return validate
}

function compile(schema: Record<string, unknown>, where: string): ValidateFunction {
  try {
    // A schema's $id may come twice, in two rewards or tasks: each has an Ajv of its own.
    return new Ajv2020({ strictTypes: false, validateFormats: false }).compile(schema)
  } catch (error) {
    throw new TypeError(`${where}: is not a valid JSON Schema: ${(error as Error).message}`, { cause: error })
  }
}

function parseJson(text: string): unknown {
  const [, fenced] = /^\s*```(?:json)?\s*\n([\s\S]*?)\n?\s*```\s*$/.exec(text) ?? []
  try {
    return JSON.parse(fenced ?? text)
  } catch {
    // Not JSON: a wrong answer.
    return undefined
  }
}
