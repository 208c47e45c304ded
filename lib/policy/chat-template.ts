// A Jinja chat template as token lists. A rollout's sequence only ever grows: prompt(), then what the policy sampled, then
// observation(), and so on. supervised() is built of the same pieces, so that training sees the tokens a rollout sees.
import { Template } from '@huggingface/jinja'
import { HdpoError } from '../core/errors.js'
import { InvalidOptionError } from '../core/option-error.js'
import { readOptions } from '../core/options.js'
import { withCallIds } from './calls/call-ids.js'
import { detectToolFormat } from './calls/detect-format.js'
import { defaultFormat, type ToolFormat } from './calls/formats.js'
import { type ChatTemplateSource, chatTemplateOptions } from './chat-template-options.js'
import { checkMessages, checkToolDescriptions } from './check-messages.js'
import { type Conversation, ConversationText } from './conversation-text.js'
import { strftimeNow } from './strftime-now.js'
import { type ThoughtForm, thoughtFields, thoughtForm } from './template-thoughts.js'
import type { TemplateTokenizer } from './tokenizer.js'
import type { ChatTemplate, Message, SupervisedTokens, ToolDescription, TrainedPart } from './types.js'
import { withStandIns } from './written-numbers.js'

export type { ChatTemplateSource }

/** Throws InvalidOptionError for a wrong source, ERR_CHAT_TEMPLATE for a template that cannot be used. */
export function createChatTemplate(source: ChatTemplateSource, tokenizer: TemplateTokenizer): ChatTemplate {
  return new JinjaChatTemplate(readOptions(chatTemplateOptions, source, 'template'), tokenizer)
}

/** The tokens that end a turn, beginning with the one that the template writes. */
export function endTokensOf({ endOfTurn, endTokens = [endOfTurn] }: ChatTemplate): readonly number[] {
  return endTokens
}

// Stands in for what the policy wrote, to find where it ends in rendered text.
const sentinel = '\u{e000}assistant\u{e001}'
// The template engine has a strftime_now that cannot be declared again: calls of it are given another name.
const ownClock = 'strftime_now_in_english'
const anyQuestion: Message = { role: 'user', content: 'question' }

/** Rendered text in which `mark` breaks the control tokens that texts of the conversation spell out; none if undefined. */
interface Rendered {
  text: string
  mark: string | undefined
}

class JinjaChatTemplate implements ChatTemplate {
  readonly endOfTurn: number
  readonly endTokens: readonly number[]
  readonly toolFormat: ToolFormat
  /** Whether the template writes calls, and in a format that is known. */
  readonly writesCalls: boolean
  readonly #thoughts: ThoughtForm
  readonly #template: Template
  readonly #toolTemplate: Template
  readonly #source: ChatTemplateSource
  readonly #tokenizer: TemplateTokenizer
  readonly #text: ConversationText
  readonly #endOfTurnText: string
  /** Text of a call in a format that cannot be read. */
  readonly #unknownCalls: string | undefined
  #beforeAnswer: string | undefined

  constructor(source: ChatTemplateSource, tokenizer: TemplateTokenizer) {
    this.#source = source
    this.#tokenizer = tokenizer
    this.#thoughts = thoughtForm(`${source.template} ${source.toolTemplate ?? ''}`)
    this.#template = parse(source.template)
    this.#toolTemplate = source.toolTemplate === undefined ? this.#template : parse(source.toolTemplate)
    checkVariables(source)
    this.#endOfTurnText = source.endOfTurn ?? this.#findEndOfTurn()
    this.endOfTurn = this.#requireToken(this.#endOfTurnText)
    const endOfText = source.endOfText === undefined ? undefined : tokenizer.tokenId(source.endOfText)
    const others = [...(source.endTokens ?? []), ...(endOfText === undefined ? [] : [endOfText])]
    const outside = others.find((token) => token >= tokenizer.vocabSize)
    if (outside !== undefined) {
      throw new HdpoError('ERR_CHAT_TEMPLATE', `eos_token_id ${outside} is not a token of the vocabulary`)
    }
    this.endTokens = [...new Set([this.endOfTurn, ...others])]
    const format = detectToolFormat(source.toolTemplate ?? source.template, (messages) =>
      this.#render(withCallIds(messages), [], false),
    )
    this.writesCalls = typeof format === 'string' && format !== 'none'
    this.toolFormat =
      source.toolFormat ?? (typeof format === 'object' || format === 'none' ? defaultFormat.name : format)
    const fixed = JSON.stringify([source, sentinel, tokenizer.controlTokens])
    this.#text = new ConversationText(tokenizer.controlTokens, this.toolFormat, fixed)
    this.#unknownCalls =
      source.toolFormat === undefined && typeof format === 'object' ? format.other : undefined
  }

  get writesThoughts(): boolean {
    return this.#thoughts !== undefined
  }

  prompt(messages: Message[], tools: ToolDescription[]): number[] {
    checkMessages(messages)
    checkToolDescriptions(tools)
    if (tools.length > 0 && this.#unknownCalls !== undefined) {
      throw new HdpoError(
        'ERR_TOOL_FORMAT',
        `the chat template writes calls as ${JSON.stringify(this.#unknownCalls)}, which hdpo cannot read; ` +
          `toolFormat: '${defaultFormat.name}' trains it to write ${defaultFormat.opening} instead`,
      )
    }
    const { text, mark } = this.#renderMarked(withCallIds(messages), tools, true)
    return this.#tokenizer.encodeMarked(text, mark)
  }

  observation(toolMessages: Message[], turnEnded: boolean): number[] {
    checkMessages(toolMessages)
    const { text, mark } = this.#continuation(toolMessages)
    const tokens = this.#tokenizer.encodeMarked(text, mark, this.#endOfTurnText)
    return turnEnded ? tokens : [this.endOfTurn, ...tokens]
  }

  supervised(messages: Message[], tools: ToolDescription[]): SupervisedTokens {
    checkMessages(messages)
    const turns = assistantTurns(messages)
    const named = withCallIds(messages)
    const tokens = this.prompt(named.slice(0, turns[0]), tools)
    const mask = tokens.map(() => 0)
    let droppedThoughts = 0
    const append = (piece: number[], trained: TrainedPart): void => {
      for (const [index, token] of piece.entries()) {
        tokens.push(token)
        mask.push(maskOf(index, trained))
      }
    }
    turns.forEach((turn, index) => {
      const message = named[turn] as Message
      const { text, mark, dropsThought } = this.#assistantText(message)
      if (dropsThought) droppedThoughts++
      append(
        [...this.#tokenizer.encodeMarked(text, mark, this.#beforeAnswer), this.endOfTurn],
        message.trained ?? 'all',
      )
      const next = turns[index + 1]
      if (next !== undefined) append(this.observation(named.slice(turn + 1, next), true), 'none')
    })
    return { tokens, mask, ...(droppedThoughts > 0 && { droppedThoughts }) }
  }

  controlTokensInText(messages: Message[], tools: ToolDescription[]): number {
    return this.#text.count(conversationOf(messages, tools, this.#thoughts))
  }

  /** What follows an assistant turn's end-of-turn token: `messages` and the next generation prompt. */
  #continuation(messages: Message[]): Rendered {
    const before: Message[] = [anyQuestion, { role: 'assistant', content: sentinel }]
    const { text, mark } = this.#renderMarked([...before, ...withCallIds(messages)], [], true)
    const ended = this.#endOfTurnAfter(text, text.indexOf(sentinel) + sentinel.length)
    if (!text.includes(sentinel) || ended === -1) {
      throw new HdpoError(
        'ERR_CHAT_TEMPLATE',
        `the chat template does not write an assistant's content followed by ${this.#endOfTurnText}; it rendered ` +
          JSON.stringify(text.replace(sentinel, '(content)')),
      )
    }
    return { text: text.slice(ended), mark }
  }

  /** What an assistant writes in one turn, without its end-of-turn token: the thought, the content and the calls as the template has them. */
  #assistantText(message: Message): Rendered & { dropsThought: boolean } {
    this.#beforeAnswer ??= this.#render([anyQuestion], [], true)
    const before = this.#beforeAnswer
    const { thought, ...others } = message
    const rendered = this.#renderMarked([anyQuestion, message], [], false)
    // A template whose variables turn thoughts off ends its prompt with an empty one.
    const turnedOff = thought !== undefined && !rendered.text.startsWith(before)
    const { text, mark } = turnedOff ? this.#renderMarked([anyQuestion, others], [], false) : rendered
    const end = text.lastIndexOf(this.#endOfTurnText)
    if (!text.startsWith(before) || end < before.length) {
      throw new HdpoError(
        'ERR_CHAT_TEMPLATE',
        `the chat template does not render an assistant turn as the generation prompt, its text and ${this.#endOfTurnText}; ` +
          `generation prompt ${JSON.stringify(before)}, with the turn ${JSON.stringify(text)}`,
      )
    }
    const turn = text.slice(before.length, end)
    const written = mark === undefined ? turn : turn.replaceAll(mark, '')
    return { text: turn, mark, dropsThought: thought !== undefined && !written.includes(thought.trim()) }
  }

  #endOfTurnAfter(text: string, from: number): number {
    const at = text.indexOf(this.#endOfTurnText, from)
    return at === -1 ? -1 : at + this.#endOfTurnText.length
  }

  /** The control token that the template writes after an assistant's content. */
  #findEndOfTurn(): string {
    const text = this.#render([anyQuestion, { role: 'assistant', content: sentinel }], [], false)
    const at = text.indexOf(sentinel)
    const after = at === -1 ? '' : text.slice(at + sentinel.length).trimStart()
    const found = this.#tokenizer.addedTokenAt(after) ?? this.#source.endOfText
    if (found !== undefined) return found
    throw new HdpoError(
      'ERR_CHAT_TEMPLATE',
      `the chat template writes no control token after an assistant's content, and the folder names no eos_token; it rendered ` +
        JSON.stringify(text.replace(sentinel, '(content)')),
    )
  }

  #requireToken(text: string): number {
    const token = this.#tokenizer.tokenId(text)
    if (token !== undefined) return token
    throw new HdpoError(
      'ERR_CHAT_TEMPLATE',
      `endOfTurn ${JSON.stringify(text)} is not a token of the vocabulary`,
    )
  }

  /**
   * The text of a conversation, marked where its texts spell out control tokens. Where a template takes texts apart and joins
   * them anew, it could make a control token of what spelled none; then it is given texts with a mark wherever one could begin.
   */
  #renderMarked(messages: Message[], tools: ToolDescription[], generationPrompt: boolean): Rendered {
    const conversation = conversationOf(messages, tools, this.#thoughts)
    const { occurrences, beginnings, mark } = this.#text.mark(conversation)
    const rendered = this.#renderConversation(occurrences, generationPrompt)
    if (beginnings === conversation) return { text: rendered, mark: undefined }
    const broken = this.#renderConversation(beginnings, generationPrompt)
    const tokens = (text: string) => this.#tokenizer.findControlTokens(text, mark).join('\n')
    if (tokens(rendered) !== tokens(broken)) return { text: broken, mark }
    return { text: rendered, mark: occurrences === conversation ? undefined : mark }
  }

  #render(messages: Message[], tools: ToolDescription[], generationPrompt: boolean): string {
    return this.#renderConversation(conversationOf(messages, tools, this.#thoughts), generationPrompt)
  }

  #renderConversation(conversation: Conversation, generationPrompt: boolean): string {
    const { value, restore } = withStandIns(conversation)
    const { messages, tools } = value
    const usesTools =
      tools.length > 0 || messages.some(({ role, tool_calls }) => role === 'tool' || tool_calls)
    try {
      const rendered = (usesTools ? this.#toolTemplate : this.#template).render({
        [ownClock]: (format: string) => strftimeNow(format),
        ...this.#source.variables,
        messages,
        ...(tools.length > 0 && { tools }),
        add_generation_prompt: generationPrompt,
        bos_token: this.#source.beginOfText ?? '',
        eos_token: this.#source.endOfText ?? this.#source.endOfTurn ?? '',
      })
      return restore(rendered)
    } catch (error) {
      throw new HdpoError(
        'ERR_CHAT_TEMPLATE',
        `the chat template does not render: ${(error as Error).message}`,
        {
          cause: error,
        },
      )
    }
  }
}

function maskOf(index: number, part: TrainedPart): 0 | 1 | 2 {
  if (part === 'without-calls') return 2
  return part === 'all' || (part === 'first' && index === 0) ? 1 : 0
}

/** A variable that the template never reads is a spelling mistake, or a setting that would silently do nothing. */
function checkVariables({ template, toolTemplate = '', variables = {} }: ChatTemplateSource): void {
  const words = new Set(`${template} ${toolTemplate}`.match(/\w+/g))
  const unread = Object.keys(variables).find((name) => !words.has(name))
  if (unread === undefined) return
  throw new HdpoError('ERR_CHAT_TEMPLATE', `the chat template does not read the variable "${unread}"`)
}

function parse(template: string): Template {
  try {
    return new Template(template.replace(/\bstrftime_now(?=\s*\()/g, ownClock))
  } catch (error) {
    throw new HdpoError(
      'ERR_CHAT_TEMPLATE',
      `the chat template does not parse: ${(error as Error).message}`,
      {
        cause: error,
      },
    )
  }
}

/** Indices of the assistant's turns, checked to be what supervised training can use. */
function assistantTurns(messages: Message[]): number[] {
  const turns = messages.flatMap((message, index) => (message.role === 'assistant' ? [index] : []))
  const roles = messages.map(({ role }) => role)
  if (turns[0] === undefined || turns[0] === 0) {
    throw new InvalidOptionError(
      'messages',
      'a conversation with a message before its first assistant message',
      roles,
    )
  }
  const adjacent = turns.find((turn, index) => turns[index + 1] === turn + 1)
  if (adjacent !== undefined) {
    const expected = 'of another role than the message before it (put both into one)'
    throw new InvalidOptionError(`messages[${adjacent + 1}]`, expected, 'assistant')
  }
  if (turns[turns.length - 1] !== messages.length - 1) {
    throw new InvalidOptionError('messages', 'a conversation that ends with an assistant message', roles)
  }
  return turns
}

function conversationOf(
  messages: readonly Message[],
  tools: readonly ToolDescription[],
  thoughts: ThoughtForm,
): Conversation {
  return {
    messages: messages.map((message) => templateMessage(message, thoughts)),
    tools: tools.map((tool) => ({ type: 'function', function: { ...tool } })),
  }
}

function templateMessage(message: Message, thoughts: ThoughtForm): Record<string, unknown> {
  return {
    role: message.role,
    ...thoughtFields(message, thoughts),
    ...(message.name !== undefined && { name: message.name }),
    ...(message.callId !== undefined && { tool_call_id: message.callId }),
    ...(message.toolCalls && {
      tool_calls: message.toolCalls.map((call) => ({
        type: 'function',
        ...(call.id !== undefined && { id: call.id }),
        function: { name: call.name, arguments: call.arguments },
      })),
    }),
  }
}
