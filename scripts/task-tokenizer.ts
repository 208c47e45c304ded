// A byte-level BPE tokenizer (Hugging Face's tokenizer.json) for a built-in task family. The same texts give the same file.
import { writeFileSync } from 'node:fs'
import { noResults } from '../lib/families/sheet-search.js'
import { bytesToCharacters } from '../lib/policy/byte-alphabet.js'
import { trainBytePairs } from './byte-pair-encoding.js'

// As in Qwen's tokenizers, what the policy writes on purpose (calls, answers) is made of ordinary tokens, which have text.
const controlTokens = ['<|endoftext|>', '<|im_start|>', '<|im_end|>']
const tagTokens = ['tool_call', 'tool_response', 'answer', 'reason'].flatMap((tag) => [
  `<${tag}>`,
  `</${tag}>`,
])

// Where text is cut before pairs are merged; the first match wins. No merge crosses a cut.
//   1. the head of a Hermes call up to its first argument's text, so that it can become one token
//   2. a role and its newline
//   3. two digits, or one: with single digits only, tokens are too alike for a small policy to learn to copy numbers quickly
//   4. a capitalised word, with its space only where the name goes on. Names are then the same tokens in questions,
//      queries, fact sheets and answers, whatever surrounds them
//   5. other words, with the spaces around them
//   6. punctuation, with the spaces around it
//   7. other white space
const cuts = [
  String.raw`\{"name": "\w+", "arguments": \{(?:"\w+": "?)?`,
  String.raw`(?:system|user|assistant|tool)\n`,
  String.raw`\p{N}{1,2}`,
  String.raw`\p{Lu}[\p{L}\p{M}]*(?:['-][\p{L}\p{M}]+)*(?: (?=\p{Lu}))?`,
  String.raw` ?[\p{L}\p{M}]+ ?`,
  String.raw` ?[^\p{L}\p{M}\p{N}\s]+ ?`,
  String.raw`\s+`,
].join('|')

// Texts that come with every question, whatever it asks: roles, calls, pairs of digits.
export function scaffolding(): string[] {
  const calls = ['search', 'query', 'calculator', 'expression'].flatMap((_, i, names) =>
    i % 2 === 0 ? [`{"name": "${names[i]}", "arguments": {"${names[i + 1]}": "1"}}`] : [],
  )
  const digitPairs = Array.from({ length: 100 }, (_, number) => String(number).padStart(2, '0'))
  return [...digitPairs, ...calls, noResults, 'user\n', 'assistant\n', 'tool\n', 'system\n']
}

export function writeTaskTokenizer(output: string, texts: readonly string[], vocabSize: number): void {
  const pieces = new Map<string, number>()
  for (const text of texts) {
    for (const [piece] of text.matchAll(new RegExp(cuts, 'gu')))
      pieces.set(piece, (pieces.get(piece) ?? 0) + 1)
  }
  const added = [...controlTokens, ...tagTokens]
  const alphabet = bytesToCharacters(Uint8Array.from({ length: 256 }, (_, byte) => byte))
  const merges = trainBytePairs(pieces, vocabSize - alphabet.length - added.length)
  const vocabulary = [...alphabet, ...merges.map(([left, right]) => left + right)]

  const tokenizer = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added.map((content, index) => ({
      id: vocabulary.length + index,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: controlTokens.includes(content),
    })),
    normalizer: null,
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Split', pattern: { Regex: cuts }, behavior: 'Isolated', invert: false },
        { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false },
      ],
    },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: '',
      end_of_word_suffix: '',
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(vocabulary.map((entry, id) => [entry, id])),
      merges: merges.map(([left, right]) => `${left} ${right}`),
    },
  }
  writeFileSync(output, `${JSON.stringify(tokenizer)}\n`)
  console.log(
    `${output}: ${vocabulary.length + added.length} tokens, ${merges.length} merges of ${pieces.size} different pieces`,
  )
}
