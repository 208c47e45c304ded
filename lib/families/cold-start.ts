// What the policy is trained on before RL. The result knows half of the answers and calls a tool nearly every time, as real agents
// do after supervised training on tool traces.
//
// Four kinds of conversations, so that knowing and deciding are taught apart:
//   trace      a question of any kind, its calls with what the tools really returned, the answer.
//   knowledge  a taught question answered from memory, trained as a rollout with its tools off samples it (<tool_call> is left
//              out of the softmax): the fact is learnt and calling stays what the policy does.
//   guess      the same for a fact that is not taught, with a different wrong answer of the right type each time: the policy's guesses
//              are spread out, as with a model that has read about many countries and not about this one.
//   direct     an answer from memory whose decision not to call is trained too: for the same small share of taught and of other
//              questions, so that the decision does not depend on what is taught.

import { z } from 'zod'
import { HdpoError } from '../core/errors.js'
import { share } from '../core/option-kinds.js'
import type { OptionsOf } from '../core/options.js'
import { Random } from '../core/random.js'
import type { Message, ToolCall } from '../policy/types.js'
import { formatResult } from '../rollout/observation.js'
import type { Tool } from '../tools/types.js'
import type { CurriculumQuestion } from './question.js'

export interface ColdStartConversation {
  messages: Message[]
  kind: 'trace' | 'knowledge' | 'guess' | 'direct'
  questionId: string
}

/** Each family has defaults of its own. */
export const coldStartShape = {
  /** Conversations that teach each taught answer. Default: 8; cities: 4. */
  knowledgeCopies: z.int().min(0).optional(),
  /** Guesses at each fact that is not taught. Default: 6; cities: 3. */
  guessCopies: z.int().min(0).optional(),
  /** Share of decisions that are direct answers. Default 0.03. */
  directShare: z.number().min(0).lt(1).optional(),
  /** Share of searches that go wrong at first. Default 0.04. */
  mistakeShare: share.optional(),
}
export const coldStartOptions = z.strictObject(coldStartShape)
export interface ColdStartOptions extends OptionsOf<typeof coldStartShape> {}
export type ResolvedColdStart = { [Name in keyof ColdStartOptions]-?: number }

export const coldStartDefaults: ResolvedColdStart = {
  knowledgeCopies: 8,
  guessCopies: 6,
  directShare: 0.03,
  mistakeShare: 0.04,
}

export async function createColdStart(
  questions: readonly CurriculumQuestion[],
  tools: readonly Tool[],
  seed: number,
  options: ResolvedColdStart = coldStartDefaults,
): Promise<ColdStartConversation[]> {
  const random = new Random(seed, 'cold start')
  // Facts are practised even if RL or evaluation asks about them, because both ask about known facts. The comparisons and large
  // arithmetic that they ask are not practised, so these are new to the policy.
  const practised = questions.filter(
    (question) => question.use === 'practice' || question.taught || isFact(question),
  )
  const conversations: ColdStartConversation[] = []
  for (const question of practised) {
    conversations.push(await trace(question, tools, random, options.mistakeShare))
    if (question.taught) {
      for (let copy = 0; copy < options.knowledgeCopies; copy++) conversations.push(knowledge(question, copy))
    } else if (isFact(question)) {
      for (let copy = 0; copy < options.guessCopies; copy++) {
        conversations.push(guess(question, copy, wrongAnswer(question, practised, random)))
      }
    }
  }
  const directRatio = options.directShare / (1 - options.directShare)
  for (const taught of [true, false]) {
    const group = practised.filter((question) => question.taught === taught)
    const answered = random.shuffle(group).slice(0, Math.round(group.length * directRatio))
    conversations.push(...answered.map((question) => direct(question, practised, random)))
  }
  return random.shuffle(conversations)
}

function isFact(question: CurriculumQuestion): boolean {
  return question.calls.length === 1 && question.calls[0]?.name === 'search'
}

async function trace(
  question: CurriculumQuestion,
  tools: readonly Tool[],
  random: Random,
  mistakeShare: number,
): Promise<ColdStartConversation> {
  const messages = [ask(random.pick(question.phrasings))]
  for (const call of question.calls) {
    if (call.name === 'search' && random.next() < mistakeShare) {
      const mistake = mistakenSearch(call, random)
      const turns = await callTool(mistake, tools)
      const found = (await callTool(call, tools)).at(-1)?.content
      // A mistaken search that still finds the right sheet is left out.
      if (found !== undefined && !turns.at(-1)?.content.includes(found)) messages.push(...turns)
    }
    messages.push(...(await callTool(call, tools)))
  }
  messages.push(answer(question.answer))
  return { messages, kind: 'trace', questionId: question.id }
}

/** The call and the tool's own answer to it. */
async function callTool(call: ToolCall, tools: readonly Tool[]): Promise<Message[]> {
  const tool = tools.find((candidate) => candidate.name === call.name)
  if (!tool) throw new HdpoError('ERR_INTERNAL', `there is no tool "${call.name}"`)
  const context = { signal: new AbortController().signal, rolloutId: 'cold-start' }
  const result = await tool.run(tool.validate(call.arguments), context)
  return [
    { role: 'assistant', content: '', toolCalls: [call] },
    { role: 'tool', name: call.name, content: formatResult(result) },
  ]
}

/** A query as people mistype or shorten it: a letter missing, one word of the name, or no name at all. */
function mistakenSearch(call: ToolCall, random: Random): ToolCall {
  const words = (call.arguments as { query: string }).query.split(' ')
  const name = words.slice(0, -1)
  const aspect = words.at(-1) as string
  const mistakes = [aspect, `${withoutLetter(name.join(' '), random)} ${aspect}`]
  if (name.length > 1) mistakes.push(`${random.pick(name)} ${aspect}`)
  return { name: call.name, arguments: { query: random.pick(mistakes) } }
}

function withoutLetter(word: string, random: Random): string {
  const at = random.integer(1, word.length - 1)
  return word.slice(0, at) + word.slice(at + 1)
}

function knowledge(question: CurriculumQuestion, copy: number): ColdStartConversation {
  return fromMemory(question, copy, question.answer, 'knowledge')
}

function guess(question: CurriculumQuestion, copy: number, guessed: string | number): ColdStartConversation {
  return fromMemory(question, copy, guessed, 'guess')
}

function fromMemory(
  question: CurriculumQuestion,
  copy: number,
  recalled: string | number,
  kind: 'knowledge' | 'guess',
): ColdStartConversation {
  const phrasing = question.phrasings[copy % question.phrasings.length] as string
  return {
    messages: [ask(phrasing), { ...recall(recalled), trained: 'without-calls' }],
    kind,
    questionId: question.id,
  }
}

function direct(
  question: CurriculumQuestion,
  others: readonly CurriculumQuestion[],
  random: Random,
): ColdStartConversation {
  const reply: Message = question.taught
    ? recall(question.answer)
    : { ...recall(wrongAnswer(question, others, random)), trained: 'first' }
  return { messages: [ask(random.pick(question.phrasings)), reply], kind: 'direct', questionId: question.id }
}

/** A wrong answer of the right type: the answer to another question of the family. */
function wrongAnswer(
  question: CurriculumQuestion,
  others: readonly CurriculumQuestion[],
  random: Random,
): string | number {
  const family = others.filter(
    (other) => other.family === question.family && other.answer !== question.answer,
  )
  return random.pick(family).answer
}

function ask(content: string): Message {
  return { role: 'user', content }
}

function answer(value: string | number): Message {
  return { role: 'assistant', content: `<answer>${value}</answer>` }
}

/** The value, then the answer: the turn's first token decides between recalling a value and calling a tool. */
function recall(value: string | number): Message {
  return { role: 'assistant', content: `${value} <answer>${value}</answer>` }
}
