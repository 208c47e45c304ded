import { describe } from 'vitest'
import { checkMessages, checkToolDescriptions } from '../../lib/policy/check-messages.js'
import { refuses } from '../core/wrong-options.js'

const user = { role: 'user', content: 'Capital of Peru?' }

describe('messages', () => {
  refuses(checkMessages, [
    [undefined, 'messages: must be a list, each a message: { role, content }, got undefined'],
    [
      'Capital of Peru?',
      "messages: must be a list, each a message: { role, content }, got 'Capital of Peru?'",
    ],
    [[user, null], 'messages[1]: must be a message: { role, content }, got null'],
    [[user, { role: 'user', content: 7 }], 'messages[1].content: must be text, got 7'],
    [[{ content: 'x' }], 'messages[0].role: must be text, got undefined'],
    [[{ ...user, thought: 7 }], 'messages[0].thought: must be text, got 7'],
    [
      [{ role: 'assistant', content: '', toolCalls: [{ arguments: {} }] }],
      'messages[0].toolCalls[0].name: must be text, got undefined',
    ],
    [
      [{ role: 'assistant', content: '', toolCalls: { name: 'x' } }],
      "messages[0].toolCalls: must be a list, each a call: { name, arguments }, got { name: 'x' }",
    ],
  ])
})

describe('tools', () => {
  refuses(checkToolDescriptions, [
    [undefined, 'tools: must be a list, each a tool: { name, description, parameters }, got undefined'],
    [[{ name: 7 }], 'tools[0].name: must be text, got 7'],
    [
      [{ name: 'x', description: 'y', parameters: 'z' }],
      "tools[0].parameters: must be a JSON Schema, got 'z'",
    ],
  ])
})
