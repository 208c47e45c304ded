import type { z } from 'zod'
import { type OptionsOf, readOptions } from '../core/options.js'
import { type JsonSchema, resolveInputSchema } from './input-schema.js'
import { toolOptions, type toolShape } from './tool-options.js'
import type { Tool, ToolContext } from './types.js'

export interface ToolDefinition<Input, Schema> extends Omit<OptionsOf<typeof toolShape>, 'input' | 'run'> {
  /** Zod 4 schema of an object, or JSON Schema (2020-12, or draft-07 where `$schema` says so) with type "object". */
  input: Schema
  /** Runs the call and returns its result. */
  run(input: Input, context: ToolContext): Promise<unknown> | unknown
}

/** Throws InvalidOptionError. */
export function defineTool<Schema extends z.ZodType>(
  definition: ToolDefinition<z.output<Schema>, Schema>,
): Tool<z.output<Schema>>
export function defineTool<Input = Record<string, unknown>>(
  definition: ToolDefinition<Input, JsonSchema>,
): Tool<Input>
export function defineTool(definition: ToolDefinition<unknown, unknown>): Tool {
  const { input, ...tool } = readOptions(toolOptions, definition, 'defineTool')
  return { ...tool, ...resolveInputSchema(input, { name: 'defineTool.input' }), run: definition.run }
}
