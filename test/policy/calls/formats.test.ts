// One table of the formats of calls. A row says what is a call in its format and what is not. What holds for every format is
// checked for each: how thoughts are treated, and that a reply in pieces is read like a whole one.
import { describe, expect, it } from 'vitest'
import type { CallFormat } from '../../../lib/policy/calls/call-format.js'
import { type CallStream, callsIn, contentOf, contentStream } from '../../../lib/policy/calls/call-stream.js'
import { detectToolFormat } from '../../../lib/policy/calls/detect-format.js'
import { callFormats, formatNamed, formatOf, toolFormats } from '../../../lib/policy/calls/formats.js'
import { hermes } from '../../../lib/policy/calls/hermes.js'
import { llama3Json } from '../../../lib/policy/calls/llama3-json.js'
import { mistral } from '../../../lib/policy/calls/mistral.js'
import { mistralArgs } from '../../../lib/policy/calls/mistral-args.js'
import { allRead } from '../../../lib/policy/calls/parsed-call.js'
import type { ToolCall } from '../../../lib/policy/calls/tool-call.js'

interface Row {
  format: CallFormat
  opening: string
  beginsAll: boolean
  closing?: string
  namesCalls: boolean
  /** A call of probe_name as templates write it. */
  rendered: string[]
  /** Parts of the sources of templates that do not render the probe. */
  mentioned: string[]
  /** `searched` as the policy writes it. */
  written: string
  /** Texts that complete a turn to `searched` after a beginning that was forced: for any tool, and for the tool "search". */
  completes: { any: string; search: string }
  /** Turns whose calls can all be read; `content` is the text without them, '' if there is no other text. */
  calls: [text: string, calls: ToolCall[], content?: string][]
  /** Turns with calls that cannot be read. Per call, in order: part of the problem, or undefined for a call that can be read. */
  malformed: [text: string, ...problems: (string | undefined)[]][]
  /** Malformed turns with the content that stays and the calls that are given out; for those not listed, all text and no call. */
  given?: [text: string, content: string, calls: ToolCall[]][]
  /** Turns without a call. */
  none: string[]
  /** Pieces of a turn, with the content that each gives out. */
  atOnce: [piece: string, content: string][]
}

const input = { query: 'a {"} b; c' }
const searched: ToolCall = { name: 'search', arguments: input }
const json = JSON.stringify(input)
const item = `{"name": "search", "arguments": ${json}}`
const tagged = `<tool_call>${item}</tool_call>`
const named = (name: string, more: object = {}): ToolCall => ({ name, arguments: {}, ...more })

const rows: Row[] = [
  {
    format: hermes,
    opening: '<tool_call>',
    beginsAll: true,
    closing: '</tool_call>',
    namesCalls: false,
    rendered: ['<tool_call>\n{"name": "probe_name", "arguments": {}}\n</tool_call>'],
    mentioned: ['within <tool_call></tool_call> tags', '<tool_call> and [TOOL_CALLS]'],
    written: tagged,
    completes: { any: `${item}</tool_call>`, search: `${json}}</tool_call>` },
    calls: [
      [`\n\n${tagged}\n${tagged}\n  `, [searched, searched]],
      [`before ${tagged} after`, [searched], 'beforeafter'],
      [
        'first\n<tool_call>\n{"name": "a", "arguments": {"x": [1, "2"]}}\n</tool_call> then <tool_call>{"name": "b"}</tool_call>.',
        [{ name: 'a', arguments: { x: [1, '2'] } }, named('b')],
        'firstthen.',
      ],
    ],
    malformed: [
      ['<tool_call>{"name": "a"', '<tool_call> without </tool_call>'],
      ['<tool_call>{"name": "a"}', '<tool_call> without </tool_call>'],
      ['<tool_call>{}', '<tool_call> without </tool_call>'],
      ['</tool_call>', '</tool_call> without <tool_call>'],
      ['</tool_call> stray', '</tool_call> without <tool_call>'],
      ['<tool_call></tool_call>', 'not valid JSON'],
      ['<tool_call>{]</tool_call>', 'not valid JSON'],
      ['<tool_call>{"name": "a"} {"name": "b"}</tool_call>', 'not valid JSON'],
      ['<tool_call>[]</tool_call>', 'must be a JSON object'],
      ['<tool_call>null</tool_call>', 'must be a JSON object'],
      ['<tool_call>{"arguments": {}}</tool_call>', '"name" must be'],
      ['<tool_call>{"name": 3}</tool_call>', '"name" must be'],
      ['<tool_call>{"name": ""}</tool_call>', '"name" must be'],
      [`<tool_call>${tagged}`, 'another <tool_call> comes before', undefined],
      [`${tagged}</tool_call>`, undefined, '</tool_call> without'],
      [`<tool_call>x</tool_call>${tagged}<tool_call>`, 'not valid JSON', undefined, 'without </tool_call>'],
      [` <tool_call>{]</tool_call> ${tagged} x`, 'not valid JSON', undefined],
      [`<tool_call> again ${tagged}`, 'another <tool_call> comes before', undefined],
    ],
    given: [
      [`<tool_call>${tagged}`, '<tool_call>', [searched]],
      [`${tagged}</tool_call>`, '</tool_call>', [searched]],
      [`<tool_call>x</tool_call>${tagged}<tool_call>`, '<tool_call>x</tool_call><tool_call>', [searched]],
      [` <tool_call>{]</tool_call> ${tagged} x`, ' <tool_call>{]</tool_call>x', [searched]],
      [`<tool_call> again ${tagged}`, '<tool_call> again ', [searched]],
    ],
    none: [
      `${item} <answer>1</answer>`,
      'a <tool_cal b <',
      'ends in space  ',
      ' <thin',
      `[TOOL_CALLS] [${item}]`,
    ],
    atOnce: [
      ['x <tool', 'x'],
      ['box>', ' <toolbox>'],
      [` ${tagged}`, ''],
    ],
  },
  {
    format: llama3Json,
    opening: '<|python_tag|>',
    beginsAll: false,
    namesCalls: false,
    rendered: ['{"name": "probe_name", "parameters": {}}', '{"name":"probe_name","parameters":{}}'],
    mentioned: ['"parameters": dictionary of argument name', "{{ '<|python_tag|>' }}"],
    written: `{"name": "search", "parameters": ${json}}`,
    completes: { any: `search", "parameters": ${json}}`, search: `${json}}` },
    calls: [
      [`\n {"name": "search", "parameters": ${json}}\n`, [searched]],
      [`<|python_tag|>{"name": "search", "parameters": ${json}}`, [searched]],
      [item, [searched]],
      ...['; ', ';', '\n', ''].map((separator): [string, ToolCall[]] => [
        [item, item].join(separator),
        [searched, searched],
      ]),
    ],
    malformed: [
      ['{"name": "search", "parameters": {"query": "x"', 'not valid JSON'],
      [`${item} and more`, 'nothing but'],
      [`${item}; {"name": "search"}`, undefined, '"parameters" must be'],
      ['{"name": "search"}', '"parameters" must be'],
      ['{"name": 3, "parameters": {}}', '"name" must be'],
      ['<|python_tag|>search.call(query="x")', 'not valid JSON'],
      ['<|python_tag|>{"capital": "Paris"}', '"name" must be'],
    ],
    none: ['Paris', `The call would be ${item}`, '{"capital": "Paris"}', '{not JSON, but braces}', tagged],
    atOnce: [
      ['I ', 'I '],
      ['{', '{'],
    ],
  },
  {
    format: mistral,
    opening: '[TOOL_CALLS]',
    beginsAll: true,
    namesCalls: true,
    rendered: ['[TOOL_CALLS] [{"name": "probe_name", "arguments": {}, "id": "call00000"}]'],
    mentioned: ["{{ '[TOOL_CALLS] [' }}"],
    written: `[TOOL_CALLS] [${item}]`,
    completes: { any: ` [${item}]`, search: `${json}}]` },
    calls: [
      [`[TOOL_CALLS][${item}]`, [searched]],
      [`[TOOL_CALLS] [${item}, ${item}]\n`, [searched, searched]],
      [`[TOOL_CALLS] [${item}] [TOOL_CALLS] [${item}]`, [searched, searched]],
      [`[TOOL_CALLS] [${item.slice(0, -1)}, "id": "a1B2c3D4e"}]`, [{ ...searched, id: 'a1B2c3D4e' }]],
      ['[TOOL_CALLS] [{"name": "now"}]', [named('now')]],
      [
        `[TOOL_CALLS] [${item}, {"name": "now", "id": "a1B2c3D4e"}]`,
        [searched, named('now', { id: 'a1B2c3D4e' })],
      ],
      [`I look. [TOOL_CALLS] [${item}]`, [searched], 'I look.'],
    ],
    malformed: [
      ['[TOOL_CALLS] [{"name": "search"', 'not valid JSON'],
      [`I look. [TOOL_CALLS] [${item}`, 'not valid JSON'],
      [`[TOOL_CALLS] [${item}] and more`, 'not valid JSON'],
      ['[TOOL_CALLS]', 'not valid JSON'],
      [`[TOOL_CALLS] ${item}`, 'JSON list'],
      ['[TOOL_CALLS] []', 'JSON list'],
      ['[TOOL_CALLS] [3]', 'must be a JSON object'],
      ['[TOOL_CALLS] [{"name": ""}]', '"name" must be'],
      ['[TOOL_CALLS]search[ARGS]{}', 'not valid JSON'],
      [`[TOOL_CALLS] [${item}, {}]`, undefined, '"name" must be'],
      [`[TOOL_CALLS] [${item}, {"arguments": {}}]`, undefined, '"name" must be'],
    ],
    none: [`[${item}]`, 'a [TOOL_ is no mark [', 'ends in space  ', tagged],
    atOnce: [
      ['I look. [TOOL', 'I look.'],
      ['_BOX]', ' [TOOL_BOX]'],
      [` [TOOL_CALLS] [${item}]`, ''],
    ],
  },
  {
    format: mistralArgs,
    opening: '[TOOL_CALLS]',
    beginsAll: true,
    namesCalls: true,
    rendered: [
      '[TOOL_CALLS]probe_name[ARGS]{}',
      '[TOOL_CALLS] probe_name[CALL_ID]a1B2c3D4e[ARGS] {"probe_key": "probe_value"}',
    ],
    mentioned: ["{{ '[TOOL_CALLS]' + name + '[ARGS]' }}"],
    written: `[TOOL_CALLS]search[ARGS]${json}`,
    completes: { any: `search[ARGS]${json}`, search: json },
    calls: [
      [`[TOOL_CALLS]search[CALL_ID]a1B2c3D4e[ARGS]${json}`, [{ ...searched, id: 'a1B2c3D4e' }]],
      [` [TOOL_CALLS] search[ARGS] ${json}\n`, [searched]],
      ['[TOOL_CALLS]a[ARGS]{}[TOOL_CALLS]b[ARGS]{}', [named('a'), named('b')]],
      [`I look.[TOOL_CALLS]search[ARGS]${json}`, [searched], 'I look.'],
    ],
    malformed: [
      ['[TOOL_CALLS]search', 'name and [ARGS]'],
      ['[TOOL_CALLS]search[ARGS]{"query"', 'not valid JSON'],
      ['[TOOL_CALLS][ARGS]{}', '"name" must be'],
      [`[TOOL_CALLS] [${item}]`, 'name and [ARGS]'],
      ['[TOOL_CALLS]a[ARGS]{}[TOOL_CALLS]b', undefined, 'name and [ARGS]'],
    ],
    none: ['search[ARGS]{}', 'a [TOOL_ is no mark [', tagged],
    atOnce: [
      ['I look. [TOOL', 'I look.'],
      ['_BOX]', ' [TOOL_BOX]'],
      ['[TOOL_CALLS]search', ''],
    ],
  },
]

it('has a row for every format, and finds each by its name', () => {
  expect(rows.map(({ format }) => format.name).sort()).toEqual(toolFormats)
  for (const format of callFormats) expect(formatNamed(format.name)).toBe(format)
  expect(formatOf({ toolFormat: 'mistral' })).toBe(mistral)
  expect(formatOf({})).toBe(hermes)
  expect(() => formatOf({ toolFormat: 'xml' as 'hermes' })).toThrow(
    "toolFormat: must be one of hermes, llama3-json, mistral, mistral-args, got 'xml'",
  )
})

it('finds no format where a template writes no call, and shows one that it does not know', () => {
  const refusing = () => {
    throw new Error('refused')
  }
  expect(detectToolFormat('<tool_call>', () => 'question')).toBe('none')
  expect(detectToolFormat('nothing of calls', refusing)).toBe('none')
  expect(detectToolFormat('', () => '<function=probe_name></function>')).toEqual({
    other: '<function=probe_name></function>',
  })
})

it('reads everything as content where calls are off', () => {
  const stream = contentStream()
  expect([...stream.feed(tagged), ...stream.feed(''), ...stream.end()]).toEqual([
    { kind: 'content', text: tagged },
  ])
})

describe.each(rows)('$format.name', (row) => {
  const { format, written, calls, malformed, given = [], none } = row

  it('is detected in what a template renders, and in the source of one that does not render', () => {
    for (const rendered of row.rendered)
      expect(
        detectToolFormat('', () => `question ${rendered} </s>`),
        rendered,
      ).toBe(format.name)
    for (const source of row.mentioned) {
      const refuses = () => {
        throw new Error('refused')
      }
      expect(detectToolFormat(source, refuses), source).toBe(format.name)
    }
  })

  it('opens and closes calls', () => {
    const { opening, beginsAll, closing, namesCalls } = format
    expect({ opening, beginsAll, closing, namesCalls }).toEqual({
      opening: row.opening,
      beginsAll: row.beginsAll,
      closing: row.closing,
      namesCalls: row.namesCalls,
    })
    expect(written.startsWith(opening)).toBe(beginsAll)
    if (closing !== undefined) expect(written.endsWith(closing)).toBe(true)
  })

  it('forces a call of any tool, or of one, out of a thought where the turn begins in one', () => {
    const { any, search } = row.completes
    for (const inThought of [false, true]) {
      const turns = [format.forced(inThought) + any, format.forced(inThought, 'search') + search]
      for (const turn of turns) {
        expect(turn.startsWith('\n</think>\n\n')).toBe(inThought)
        expect(format.parse(turn, inThought)).toEqual([{ kind: 'call', ...searched }])
      }
    }
    if (row.beginsAll) expect(format.forced()).toBe(row.opening)
  })

  it.each([[written, [searched]], ...calls] as Row['calls'])('reads %j', (text, expected, content = '') => {
    expect(format.parse(text)).toEqual(expected.map((call) => ({ kind: 'call', ...call })))
    expect(format.strip(text)).toBe(content)
    expect(readAtOnce(format.stream(), text)).toEqual([content, expected])
  })

  it.each(malformed)('says what is wrong with %j', (text, ...problems) => {
    expect(format.parse(text)).toMatchObject(
      problems.map((problem) =>
        problem === undefined
          ? { kind: 'call' }
          : { kind: 'malformed', text: expect.any(String), problem: expect.stringContaining(problem) },
      ),
    )
    const [, content, readable] = given.find(([of]) => of === text) ?? [text, text, []]
    expect(format.strip(text)).toBe(content)
    expect(readAtOnce(format.stream(), text)).toEqual([content, readable])
  })

  it.each(['', 'no calls', ...none])('finds no call in %j', (text) => {
    expect(format.parse(text)).toEqual([])
    expect(format.strip(text)).toBe(text)
    expect(readAtOnce(format.stream(), text)).toEqual([text, []])
  })

  it('gives out at once what is certain', () => {
    const stream = format.stream()
    for (const [piece, content] of row.atOnce) expect(contentOf(stream.feed(piece)), piece).toBe(content)
  })

  it.each([
    [`<think>${written}?</think>\n\n${written}`, false, `<think>${written}?</think>`, [searched]],
    [
      `\n<think>\nPerhaps ${written}?\n</think>${written}`,
      false,
      `\n<think>\nPerhaps ${written}?\n</think>`,
      [searched],
    ],
    [`<think>never ends ${written}`, false, `<think>never ends ${written}`, []],
    [`${written}?</think>\n\n${written}`, true, `${written}?</think>`, [searched]],
    [`<think>${written}</think>${written}`, true, `<think>${written}</think>`, [searched]],
    [`a <think>${written}`, true, `a <think>${written}`, []],
    [written, true, written, []],
  ] as const)(
    'finds no call in the thought of %j, opened in the prompt: %j',
    (text, inThought, content, expected) => {
      expect(format.parse(text, inThought)).toEqual(expected.map((call) => ({ kind: 'call', ...call })))
      expect(format.strip(text, inThought)).toBe(content)
      expect(readAtOnce(format.stream(inThought), text)).toEqual([content, expected])
    },
  )

  const texts = [written, ...[...calls, ...malformed].map(([text]) => text), ...none]
  const turns = texts.flatMap((text): [string, boolean][] => [
    [text, false],
    [text, true],
    [`<think>hm <${text}</think>\n ${text}`, false],
    [`${text}</think> ${text}`, true],
  ])

  it.each(turns)('reads %j in pieces as it does whole, in a thought: %j', (text, inThought) => {
    const parsed = format.parse(text, inThought)
    const readable = parsed.flatMap(({ kind, ...call }) => (kind === 'call' ? [call] : []))
    // Calls that end a turn come together, or not at all.
    const expected = format.closing === undefined ? (allRead(parsed) ?? []) : readable
    const whole = [format.strip(text, inThought), expected]
    const cuts = [
      ...Array.from(text, (_, at) => [text.slice(0, at), text.slice(at)]),
      ...Array.from(text, (_, size) => inPieces(text, size + 1)),
    ]
    const differing = cuts.filter(
      (pieces) => JSON.stringify(read(format.stream(inThought), pieces)) !== JSON.stringify(whole),
    )
    expect(differing).toEqual([])
  })
})

it('gives a Hermes call as soon as it is closed', () => {
  expect(hermes.stream().feed(`x ${tagged}`)).toEqual([
    { kind: 'content', text: 'x' },
    { kind: 'call', call: searched },
  ])
})

function inPieces(text: string, size: number): string[] {
  return Array.from({ length: Math.ceil(text.length / size) }, (_, piece) =>
    text.slice(piece * size, (piece + 1) * size),
  )
}

const readAtOnce = (stream: CallStream, text: string) => read(stream, [text])

function read(stream: CallStream, pieces: readonly string[]): [content: string, calls: ToolCall[]] {
  const parts = [...pieces.flatMap((piece) => stream.feed(piece)), ...stream.end()]
  return [contentOf(parts), callsIn(parts)]
}
