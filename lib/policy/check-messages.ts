// Messages and tools as callers give them to a chat template: checked before a template meets them, which would fail in its own words.
import { checkObjects } from '../core/arguments.js'
import { isRecord } from '../core/is-record.js'
import { InvalidOptionError } from '../core/option-error.js'

/** Throws InvalidOptionError: `messages[2].content: must be text, got 7`. */
export function checkMessages(messages: unknown): void {
  checkObjects(messages, 'messages', 'a message: { role, content }')
  for (const [index, message] of (messages as Record<string, unknown>[]).entries()) {
    const at = `messages[${index}]`
    checkText(message.role, `${at}.role`)
    checkText(message.content, `${at}.content`)
    if (message.toolCalls !== undefined) checkCalls(message.toolCalls, `${at}.toolCalls`)
    for (const name of ['name', 'callId', 'thought'])
      if (message[name] !== undefined) checkText(message[name], `${at}.${name}`)
  }
}

/** Throws InvalidOptionError. */
export function checkToolDescriptions(tools: unknown): void {
  checkObjects(tools, 'tools', 'a tool: { name, description, parameters }')
  for (const [index, { name, description, parameters }] of (tools as Record<string, unknown>[]).entries()) {
    checkText(name, `tools[${index}].name`)
    if (description !== undefined) checkText(description, `tools[${index}].description`)
    const at = `tools[${index}].parameters`
    if (parameters !== undefined && !isRecord(parameters))
      throw new InvalidOptionError(at, 'a JSON Schema', parameters)
    checkJson(parameters, at)
  }
}

function checkCalls(calls: unknown, at: string): void {
  checkObjects(calls, at, 'a call: { name, arguments }')
  for (const [index, { name, id, arguments: given }] of (calls as Record<string, unknown>[]).entries()) {
    checkText(name, `${at}[${index}].name`)
    checkJson(given, `${at}[${index}].arguments`)
    if (id !== undefined) checkText(id, `${at}[${index}].id`)
  }
}

/** Templates write it as JSON, which has no form for a circle or a BigInt. */
function checkJson(value: unknown, name: string): void {
  try {
    JSON.stringify(value)
  } catch (error) {
    throw new InvalidOptionError(name, 'what JSON can hold', value, { cause: error })
  }
}

function checkText(value: unknown, name: string): void {
  if (typeof value !== 'string') throw new InvalidOptionError(name, 'text', value)
}
