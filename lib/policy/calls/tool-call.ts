// A call of a tool. It has a file of its own, so that the policy's other types may name the formats without a circle of imports.

export interface ToolCall {
  name: string
  arguments: unknown
  /** The id by which its result names it, where the policy or the client gave one. */
  id?: string
}
