// A call of a tool. It stands alone, below the policy's other types, so that those may name the formats.

export interface ToolCall {
  name: string
  arguments: unknown
  /** By which its result names it, where the policy or the client gave one. */
  id?: string
}
