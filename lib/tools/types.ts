/** A tool as a rollout runs it. Made by defineTool. */
export interface Tool<Input = unknown> {
  name: string
  description: string
  /** JSON Schema of the arguments. */
  parameters: Record<string, unknown>
  /** Milliseconds; a slower call becomes a timeout observation. Default: the rollout's `toolTimeout`. */
  timeout?: number
  /**
   * What one call costs, in whatever unit the reward counts (money, seconds, tokens): a number, or a function
   * of the finished call. 0 or more. Default: the reward counts calls.
   */
  cost?: number | ((call: FinishedToolCall) => number)
  /** Throws a ToolInputError naming what is wrong, else returns the typed input. */
  validate(input: unknown): Input
  /**
   * Strings reach the policy as they are, a ToolOutput as its text, everything else as JSON. Throwing makes an
   * error observation; throwing a ToolTimeoutError, a timeout.
   */
  run(input: Input, context: ToolContext): Promise<unknown> | unknown
  /** Ends what the tool keeps running (a server, interpreters), whoever asks first. */
  close?(): Promise<void>
}

export interface ToolContext {
  /** Aborted when the call's time is up or the run is stopped. */
  signal: AbortSignal
  /** Same for all calls of one rollout. A later rollout of the same task may have it again. */
  rolloutId: string
  /**
   * Aborted when the rollout is over, however it ended; one object for all calls of a rollout and for no other.
   * Tools that keep state for a rollout key it by this and let go of it then. Absent outside rollouts.
   */
  rolloutEnded?: AbortSignal
  /** The conversation up to the turn that holds the call, without it. Absent outside rollouts. */
  messages?: readonly ConversationMessage[]
}

/** A message as tools see it; `name` is that of the tool whose result it is. */
export interface ConversationMessage {
  readonly role: 'system' | 'user' | 'assistant' | 'tool'
  readonly content: string
  readonly name?: string
  readonly toolCalls?: readonly { readonly name: string; readonly arguments: unknown }[]
}

/** A call after it ended, as a cost function sees it. */
export interface FinishedToolCall {
  name: string
  arguments: unknown
  /** 'ok', 'error', 'timeout', ... */
  outcome: string
  /** What the policy reads. */
  observation: string
  milliseconds: number
}
