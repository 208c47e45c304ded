/** A tool as a rollout runs it. defineTool makes one. */
export interface Tool<Input = unknown> {
  name: string
  description: string
  /** JSON Schema of the arguments. */
  parameters: Record<string, unknown>
  /** Milliseconds per call; a slower call gives a timeout observation. Default: the rollout's `toolTimeout`. */
  timeout?: number
  /**
   * What one call costs, in the unit that the reward counts (money, seconds, tokens): a number, or a function of the finished
   * call; at least 0. Default: the reward counts calls.
   */
  cost?: number | ((call: FinishedToolCall) => number)
  /**
   * What its results depend on, as JSON, for the comparison when a run is resumed: the documents that it searches, say. Default: a
   * hash of the text of `run`.
   */
  identity?: Record<string, unknown>
  /** Returns the typed input, or throws a ToolInputError that names what is wrong. */
  validate(input: unknown): Input
  /**
   * Runs the call. A string reaches the policy unchanged, a ToolOutput as its text, any other value as JSON. A thrown error
   * becomes an error observation, a ToolTimeoutError a timeout.
   */
  run(input: Input, context: ToolContext): Promise<unknown> | unknown
  /** Ends what the tool keeps running (a server, interpreters). It may be called more than once. */
  close?(): Promise<void>
}

export interface ToolContext {
  /** Aborted when the call's time is up or the run is stopped. */
  signal: AbortSignal
  /** The same for all calls of one rollout. A later rollout of the same task may have the same id. */
  rolloutId: string
  /**
   * Aborted when the rollout ends, for whatever reason; the same object for all calls of the rollout, and for no other rollout.
   * Tools that keep state per rollout use it as the key and drop the state on abort. Absent outside rollouts.
   */
  rolloutEnded?: AbortSignal
  /** The conversation before the turn that holds the call. Absent outside rollouts. */
  messages?: readonly ConversationMessage[]
}

/** A message as tools see it. In a tool's result `name` is the tool's name. */
export interface ConversationMessage {
  readonly role: 'system' | 'user' | 'assistant' | 'tool'
  readonly content: string
  readonly name?: string
  readonly toolCalls?: readonly { readonly name: string; readonly arguments: unknown }[]
}

/** A finished call, as passed to a cost function. */
export interface FinishedToolCall {
  name: string
  arguments: unknown
  /** 'ok', 'error', 'timeout', ... */
  outcome: string
  /** The text that the policy reads. */
  observation: string
  milliseconds: number
}
