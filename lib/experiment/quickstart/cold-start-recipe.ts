// A hash of everything that determines a cold start: weights that were trained under another hash are out of date.
import { createHash } from 'node:crypto'
import type { ColdStartConversation } from '../../families/cold-start.js'
import type { TaskFamily } from '../../families/task-family.js'
import { createChatTemplate } from '../../policy/chat-template.js'
import { loadTokenizer } from '../../policy/tokenizer.js'
import type { QuickstartSettings } from './settings.js'

// Rendering all conversations takes longer than making them. The template and tokenizer are in the hash too, so a sample is
// enough to notice a change in the code that renders.
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
