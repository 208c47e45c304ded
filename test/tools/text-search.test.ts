import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { toPassages } from '../../lib/tools/text-search/passages.js'
import { buildTextIndex, searchTool, type TextDocument } from '../../lib/tools/text-search.js'
import { refuses } from '../core/wrong-options.js'

let folder: string
const write = (path: string, text: string) => {
  mkdirSync(join(folder, path, '..'), { recursive: true })
  writeFileSync(join(folder, path), text)
  return join(folder, path)
}
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'hdpo-search-'))
  write(
    'manual/install.md',
    '# Installing\n\nUnpack the crate.\n\n## Wiring\n\nThe red wire goes to the left terminal.\n\n```\n# not a heading\n```\n\n# Warranty\n\nTwo years.',
  )
  write('manual/notes.txt', 'The pump hums at 50 Hz.\n\nThe fan is silent.')
  write('manual/.hidden/secret.md', 'The password is swordfish.')
  write('manual/node_modules/a/readme.md', 'The password is swordfish.')
  write('manual/picture.png', 'not text')
  write(
    'facts.jsonl',
    '{"id": 7, "title": "Bern", "contents": "Bern lies on the Aare."}\n\n{"contents": "Zürich lies on the Limmat."}\n',
  )
})
afterAll(() => rmSync(folder, { recursive: true }))

const context = { signal: new AbortController().signal, rolloutId: 'r' }

describe('buildTextIndex', () => {
  it('reads folders: Markdown by sections, text, JSONL by lines; nothing hidden', async () => {
    const index = await buildTextIndex(folder)
    expect(index.documents).toBe(4)
    expect(index.search('terminal')[0]).toMatchObject({
      documentId: join('manual', 'install.md'),
      title: 'Installing > Wiring',
      text: 'The red wire goes to the left terminal.\n\n```\n# not a heading\n```',
    })
    expect(index.search('warranty')[0]).toMatchObject({ title: 'Warranty', text: 'Two years.' })
    expect(index.search('hums')[0]).toMatchObject({ documentId: join('manual', 'notes.txt') })
    expect(index.search('Aare')[0]).toMatchObject({ documentId: '7', title: 'Bern' })
    expect(index.search('swordfish')).toEqual([])
  })

  it('finds what people type: case, accents, endings, a letter off', async () => {
    const index = await buildTextIndex(join(folder, 'facts.jsonl'))
    for (const query of ['ZURICH', 'zürich', 'zuric', 'zurikh']) {
      expect(index.search(query)[0], query).toMatchObject({ text: 'Zürich lies on the Limmat.' })
    }
    expect(index.search('')).toEqual([])
    expect(index.search('nowhere else')).toEqual([])
  })

  it('takes documents, from an iterable or an async one', async () => {
    const documents: TextDocument[] = [
      { id: 'a', text: 'apples and pears' },
      { id: 'b', text: 'apples', title: 'Fruit' },
    ]
    async function* stream() {
      yield* documents
    }
    for (const source of [documents, new Set(documents), stream()]) {
      const index = await buildTextIndex(source)
      expect(index.search('apples', 10).map(({ documentId }) => documentId)).toEqual(['b', 'a'])
      expect(index.search('fruit')).toHaveLength(1)
    }
  })

  it('gives equal matches in order of the documents', async () => {
    const documents = Array.from({ length: 50 }, (_, number) => ({
      id: String(number),
      text: 'the same words',
    }))
    const index = await buildTextIndex(documents)
    expect(index.search('same', 50).map(({ documentId }) => documentId)).toEqual(
      documents.map(({ id }) => id),
    )
  })

  it('takes other names of fields', async () => {
    const path = write('other/named.jsonl', '{"key": "k", "heading": "H", "passage_text": "some words"}')
    const index = await buildTextIndex(path, {
      fields: { text: 'passage_text', title: 'heading', id: 'key' },
    })
    expect(index.search('words')[0]).toMatchObject({ documentId: 'k', title: 'H', text: 'some words' })
  })

  it.each([
    [
      'a path that is not there',
      () => 'nowhere',
      'cannot read nowhere: there is no such file or folder (ENOENT)',
    ],
    [
      'a file of another kind',
      () => join(folder, 'manual/picture.png'),
      /cannot index .*picture\.png: only \.md/,
    ],
    ['a line that is not JSON', () => write('bad/a.jsonl', '{"text": "a"}\n{'), /a\.jsonl:2: /],
    ['a line that is no object', () => write('bad/b.jsonl', '[]'), /b\.jsonl:1: must be an object, got \[\]/],
    [
      'a line without text',
      () => write('bad/c.jsonl', '{"words": "a"}'),
      /c\.jsonl:1: has no text under text, contents.*its fields are words/,
    ],
    [
      'two documents of one id',
      () => [
        { id: 'a', text: 'a' },
        { id: 'a', text: 'b' },
      ],
      "documents[1].id: must be no id of a document before it, got 'a'",
    ],
    [
      'a document without text',
      () => [{ id: 'a' }] as never,
      "documents[0]: must be a document: { id, text, title? }, got { id: 'a' }",
    ],
    ['nothing', () => [], /no text to index/],
  ])('%s is refused by name', async (_, source, message) => {
    await expect(buildTextIndex(source())).rejects.toThrow(message)
  })

  refuses(
    (options) => buildTextIndex([{ id: 'a', text: 'a' }], options),
    [
      [
        { passageCharacters: 1 },
        'buildTextIndex.passageCharacters: must be a whole number of at least 50, got 1',
      ],
      [{ fields: { text: '' } }, "buildTextIndex.fields.text: must be text that is not empty, got ''"],
      [
        { fields: { body: 'x' } },
        "buildTextIndex.fields.body: must be left out (there is no such option; known: text, title, id), got 'x'",
      ],
    ],
  )
})

describe('passages', () => {
  it('are paragraphs together where they fit, sentences and words where they do not', () => {
    const texts = (text: string, characters = 60) =>
      toPassages({ id: 'a', text }, characters).map((passage) => passage.text)
    expect(texts('One.\n\nTwo.')).toEqual(['One.\n\nTwo.'])
    expect(texts(`${'a'.repeat(50)}\n\n${'b'.repeat(50)}`)).toEqual(['a'.repeat(50), 'b'.repeat(50)])
    expect(
      texts(`${'A sentence. '.repeat(10)}`).every((text) => text.length <= 60 && text.endsWith('.')),
    ).toBe(true)
    expect(texts('word '.repeat(40)).join(' ')).toBe('word '.repeat(40).trim())
    expect(texts('x'.repeat(150))).toEqual(['x'.repeat(60), 'x'.repeat(60), 'x'.repeat(30)])
    expect(texts('😀'.repeat(40), 55).join('')).toBe('😀'.repeat(40))
    expect(texts(' \n ')).toEqual([])
  })
})

describe('searchTool', () => {
  it('shows passages, numbered, with where they are from', async () => {
    const search = searchTool({
      index: await buildTextIndex(join(folder, 'facts.jsonl')),
      results: 2,
      cost: 0.1,
    })
    expect(search).toMatchObject({ name: 'search', cost: 0.1 })
    expect(search.run(search.validate({ query: 'Aare Limmat' }), context)).toMatch(
      /^\[1\] .*\n.* lies on the .*\n\n\[2\] .*\n.* lies on the .*$/,
    )
    expect(search.run({ query: 'xylophone' }, context)).toBe('No results for "xylophone".')
    expect(() => search.validate({ query: '' })).toThrow(/^query: /)
  })

  refuses(searchTool, [
    [{ index: null }, 'searchTool.index: must be what buildTextIndex returns, got null'],
    [
      { index: { search() {} }, results: 0 },
      'searchTool.results: must be a whole number of at least 1, got 0',
    ],
  ])
})
