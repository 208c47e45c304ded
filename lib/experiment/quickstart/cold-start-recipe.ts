// What a cold start follows from, as one hash: weights that were trained under another are out of date.
import { createHash } from 'node:crypto'
import type { ColdStartConversation } from '../../families/cold-start.js'
import type { TaskFamily } from '../../families/task-family.js'
import { createChatTemplate } from '../../policy/chat-template.js'
import { loadTokenizer } from '../../policy/tokenizer.js'
import type { QuickstartSettings } from './settings.js'

// Rendering all takes longer than making them, and what they are rendered by is in the hash too: some show whether its code does
// what it did.
const encodedOneIn = 16

export function coldStartRecipe(
  family: TaskFamily,
  conversations: readonly ColdStartConversation[],
  settings: QuickstartSettings['coldStart'],
  seed: number,
): string {
  const template = createChatTemplate(family.template, loadTokenizer(family.tokenizer))
  const encoded = conversations
    .filter((_, index) => index % encodedOneIn === 0)
    .map(({ messages }) => template.supervised(messages, family.tools))
  const hash = createHash('sha256')
  const { tokenizer, template: source, model } = family
  for (const part of [seed, settings, model, tokenizer, source, conversations, encoded]) {
    hash.update(`${JSON.stringify(part)}\n`)
  }
  return hash.digest('hex')
}
