// How calls begin and end in each format: what is banned so that there is none, and given so that there is one.
import type { ToolFormat } from '../types.js'
import { mistralTag } from './mistral-calls.js'
import { callTag, closingTag } from './tagged-calls.js'
import { pythonTag } from './whole-calls.js'

export interface CallMarks {
  /** The token that begins a call and nothing else. */
  opening: string
  /** Whether every call begins with it, so that there is no call without it. */
  beginsAll: boolean
  /** The token that ends a call, after which others may follow; undefined where calls end with the turn. */
  closing?: string
  /** Whether templates write ids of calls, by which results name them. */
  namesCalls: boolean
  /** Beginning of a call of any tool. */
  anyCall: string
  /** Beginning of a call of one tool, up to its arguments. */
  callOf(tool: string): string
}

export const callMarks: Readonly<Record<ToolFormat, CallMarks>> = {
  hermes: {
    opening: callTag,
    beginsAll: true,
    namesCalls: false,
    closing: closingTag,
    anyCall: callTag,
    callOf: (tool) => `${callTag}{"name": ${JSON.stringify(tool)}, "arguments": `,
  },
  'llama3-json': {
    opening: pythonTag,
    beginsAll: false,
    namesCalls: false,
    anyCall: '{"name": "',
    callOf: (tool) => `{"name": ${JSON.stringify(tool)}, "parameters": `,
  },
  mistral: {
    opening: mistralTag,
    beginsAll: true,
    namesCalls: true,
    anyCall: mistralTag,
    callOf: (tool) => `${mistralTag} [{"name": ${JSON.stringify(tool)}, "arguments": `,
  },
  'mistral-args': {
    opening: mistralTag,
    beginsAll: true,
    namesCalls: true,
    anyCall: mistralTag,
    callOf: (tool) => `${mistralTag}${tool}[ARGS]`,
  },
}
