/** A tool as a rollout runs it. Made by defineTool. */
export interface Tool<Input = unknown> {
  name: string
  description: string
  /** JSON Schema of the arguments. */
  parameters: Record<string, unknown>
  /** Milliseconds; a slower call becomes a timeout observation. */
  timeout?: number
  /** Throws a ToolInputError naming what is wrong, else returns the typed input. */
  validate(input: unknown): Input
  run(input: Input, context: ToolContext): Promise<unknown> | unknown
}
export interface ToolContext {
  signal: AbortSignal
  /** Same for all calls of one rollout. */
  rolloutId: string
}
