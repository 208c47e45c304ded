/** A tool as a rollout runs it. Made by defineTool. */
export interface Tool<Input = unknown> {
  name: string
  description: string
  /** JSON Schema of the arguments. */
  parameters: Record<string, unknown>
  /** Milliseconds; a slower call becomes a timeout observation. Default: the rollout's `toolTimeout`. */
  timeout?: number
  /** Throws a ToolInputError naming what is wrong, else returns the typed input. */
  validate(input: unknown): Input
  /** Strings reach the policy as they are, everything else as JSON. */
  run(input: Input, context: ToolContext): Promise<unknown> | unknown
}

export interface ToolContext {
  /** Aborted when the call's time is up or the run is stopped. */
  signal: AbortSignal
  /** Same for all calls of one rollout. */
  rolloutId: string
}
