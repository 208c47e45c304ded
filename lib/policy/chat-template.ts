// A Jinja chat template as token lists. A rollout's sequence only ever grows: prompt(), then what the policy sampled, then
// observation(), and so on. supervised() is built of the same pieces, so that training sees the tokens a rollout sees.
import { Template } from '@huggingface/jinja'
import { HdpoError } from '../errors.js'
import type { ChatTemplate, Message, Tokenizer, ToolDescription, TrainedPart } from './types.js'

export interface ChatTemplateSource {
  /** Jinja source, as in tokenizer_config.json's chat_template. */
  template: string
  /** The token that ends a turn, e.g. '<|im_end|>'. */
  endOfTurn: string
  /** What the template reads as bos_token. Default: empty. */
  beginOfText?: string
}

export function createChatTemplate(source: ChatTemplateSource, tokenizer: Tokenizer): ChatTemplate {
  return new JinjaChatTemplate(source, tokenizer)
}

// Stands in for what the policy wrote, to find where it ends in rendered text.
const sentinel = '\u{e000}assistant\u{e001}'
const anyQuestion: Message = { role: 'user', content: 'question' }

class JinjaChatTemplate implements ChatTemplate {
  readonly endOfTurn: number
  readonly #template: Template
  readonly #source: ChatTemplateSource
  readonly #tokenizer: Tokenizer
  #beforeAnswer: string | undefined

  constructor(source: ChatTemplateSource, tokenizer: Tokenizer) {
    this.#source = source
    this.#tokenizer = tokenizer
    this.#template = parse(source.template)
    const endOfTurn = tokenizer.tokenId(source.endOfTurn)
    if (endOfTurn === undefined) {
      throw new HdpoError(
        'ERR_CHAT_TEMPLATE',
        `endOfTurn ${JSON.stringify(source.endOfTurn)} is not a token of the vocabulary`,
      )
    }
    this.endOfTurn = endOfTurn
  }

  prompt(messages: Message[], tools: ToolDescription[]): number[] {
    return this.#tokenizer.encode(this.#render(messages, tools, true))
  }

  observation(toolMessages: Message[], turnEnded: boolean): number[] {
    const tokens = this.#tokenizer.encode(this.#continuation(toolMessages))
    return turnEnded ? tokens : [this.endOfTurn, ...tokens]
  }

  supervised(messages: Message[], tools: ToolDescription[]): { tokens: number[]; mask: number[] } {
    const turns = assistantTurns(messages)
    const tokens = this.prompt(messages.slice(0, turns[0]), tools)
    const mask = tokens.map(() => 0)
    const append = (piece: number[], trained: TrainedPart): void => {
      for (const [index, token] of piece.entries()) {
        tokens.push(token)
        mask.push(maskOf(index, trained))
      }
    }
    turns.forEach((turn, index) => {
      const message = messages[turn] as Message
      append(
        [...this.#tokenizer.encode(this.#assistantText(message)), this.endOfTurn],
        message.trained ?? 'all',
      )
      const next = turns[index + 1]
      if (next !== undefined) append(this.observation(messages.slice(turn + 1, next), true), 'none')
    })
    return { tokens, mask }
  }

  /** What follows an assistant turn's end-of-turn token: `messages` and the next generation prompt. */
  #continuation(messages: Message[]): string {
    const text = this.#render([anyQuestion, { role: 'assistant', content: sentinel }, ...messages], [], true)
    const ended = this.#endOfTurnAfter(text, text.indexOf(sentinel) + sentinel.length)
    if (!text.includes(sentinel) || ended === -1) {
      throw new HdpoError(
        'ERR_CHAT_TEMPLATE',
        `the chat template does not write an assistant's content followed by ${this.#source.endOfTurn}; it rendered ` +
          JSON.stringify(text.replace(sentinel, '(content)')),
      )
    }
    return text.slice(ended)
  }

  /** What an assistant writes in one turn, without its end-of-turn token: the content and the calls as the template has them. */
  #assistantText(message: Message): string {
    this.#beforeAnswer ??= this.#render([anyQuestion], [], true)
    const before = this.#beforeAnswer
    const text = this.#render([anyQuestion, message], [], false)
    const end = text.lastIndexOf(this.#source.endOfTurn)
    if (!text.startsWith(before) || end < before.length) {
      throw new HdpoError(
        'ERR_CHAT_TEMPLATE',
        `the chat template does not render an assistant turn as the generation prompt, its text and ${this.#source.endOfTurn}; ` +
          `generation prompt ${JSON.stringify(before)}, with the turn ${JSON.stringify(text)}`,
      )
    }
    return text.slice(before.length, end)
  }

  #endOfTurnAfter(text: string, from: number): number {
    const at = text.indexOf(this.#source.endOfTurn, from)
    return at === -1 ? -1 : at + this.#source.endOfTurn.length
  }

  #render(messages: Message[], tools: ToolDescription[], generationPrompt: boolean): string {
    try {
      return this.#template.render({
        messages: messages.map(templateMessage),
        ...(tools.length > 0 && {
          tools: tools.map((tool) => ({ type: 'function', function: { ...tool } })),
        }),
        add_generation_prompt: generationPrompt,
        bos_token: this.#source.beginOfText ?? '',
        eos_token: this.#source.endOfTurn,
      })
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

function parse(template: string): Template {
  try {
    return new Template(template)
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
  if (turns[0] === undefined || turns[0] === 0) {
    throw new TypeError(
      'messages: a conversation to train on needs a message before its first assistant message',
    )
  }
  const adjacent = turns.find((turn, index) => turns[index + 1] === turn + 1)
  if (adjacent !== undefined) {
    throw new TypeError(`messages[${adjacent + 1}] follows another assistant message; put both into one`)
  }
  if (turns[turns.length - 1] !== messages.length - 1) {
    throw new TypeError(
      `messages: a conversation to train on ends with an assistant message, got role "${messages.at(-1)?.role}"`,
    )
  }
  return turns
}

function templateMessage(message: Message): Record<string, unknown> {
  return {
    role: message.role,
    content: message.content,
    ...(message.name !== undefined && { name: message.name }),
    ...(message.toolCalls && {
      tool_calls: message.toolCalls.map((call) => ({
        type: 'function',
        function: { name: call.name, arguments: call.arguments },
      })),
    }),
  }
}
