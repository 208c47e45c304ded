import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { readLines, readText, readTextSync } from '../../lib/core/text-file.js'

const folder = mkdtempSync(join(tmpdir(), 'hdpo-text-'))
afterAll(() => rmSync(folder, { recursive: true }))

function file(content: string | Uint8Array): string {
  const path = join(folder, 'file.txt')
  writeFileSync(path, content)
  return path
}

async function linesOf(path: string): Promise<string[]> {
  const lines: string[] = []
  for await (const { text } of readLines(path, 'ERR_TASKS')) lines.push(text)
  return lines
}

const mark = Buffer.from([0xef, 0xbb, 0xbf])

describe('text files', () => {
  it('lose the byte order mark at their beginning, and no other', async () => {
    const path = file(Buffer.concat([mark, Buffer.from('a\n'), mark, Buffer.from('b')]))
    expect(await readText(path, 'ERR_DATA')).toBe('a\n\u{feff}b')
    expect(await linesOf(path)).toEqual(['a', '\u{feff}b'])
    expect(await readText(file(mark), 'ERR_DATA')).toBe('')
    expect(await linesOf(file(''))).toEqual([])
  })

  it.each([
    ['Latin-1', Buffer.from('1\nGrüße\n', 'latin1'), 2, '0xFC', 4],
    ['a lone continuation', [0x61, 0x80], 1, '0x80', 1],
    ['a character cut off by the end', [0x61, 0x0a, 0x0a, 0xf0, 0x9f, 0x98], 3, '0xF0', 3],
    ['a character cut off by a line', [0xe2, 0x82, 0x0a], 1, '0xE2', 0],
    ['an overlong slash', [0xc0, 0xaf], 1, '0xC0', 0],
    ['half a surrogate pair', [0x61, 0xed, 0xa0, 0x80], 1, '0xED', 1],
    ['beyond Unicode', [0xf4, 0x90, 0x80, 0x80], 1, '0xF4', 0],
    ['bytes after a mark', [...mark, 0x61, 0xff], 1, '0xFF', 4],
  ])('are refused with line and offset: %s', async (_name, content, line, byte, offset) => {
    const path = file(Uint8Array.from(content))
    const message = `${path}:${line}: is not UTF-8: byte ${byte} at offset ${offset}; save it as UTF-8`
    await expect(readText(path, 'ERR_DATA')).rejects.toMatchObject({ code: 'ERR_DATA', message })
    expect(() => readTextSync(path, 'ERR_CONFIG')).toThrow(message)
    await expect(linesOf(path)).rejects.toMatchObject({ code: 'ERR_TASKS', message })
  })

  it.each([
    ['UTF-16', Buffer.from('\u{feff}text\n', 'utf16le')],
    ['UTF-16', Buffer.from('\u{feff}text\n', 'utf16le').swap16()],
    ['UTF-16', Buffer.from([0xff, 0xfe])],
    ['UTF-32', Buffer.from([0xff, 0xfe, 0, 0, 0x61, 0, 0, 0])],
    ['UTF-32', Buffer.from([0, 0, 0xfe, 0xff, 0, 0, 0, 0x61])],
  ])('are refused by the name of another encoding: %s', async (name, bytes) => {
    const path = file(bytes)
    const message = `${path}: is ${name}, as its byte order mark says: save it as UTF-8`
    await expect(readText(path, 'ERR_DATA')).rejects.toThrow(message)
    await expect(linesOf(path)).rejects.toThrow(message)
  })

  it('name what cannot be read', async () => {
    const missing = join(folder, 'missing')
    const message = `cannot read ${missing}: there is no such file or folder (ENOENT)`
    await expect(readText(missing, 'ERR_DATA')).rejects.toMatchObject({ code: 'ERR_DATA', message })
    await expect(linesOf(missing)).rejects.toMatchObject({ code: 'ERR_TASKS', message })
  })

  it('have the same lines however they are read, with characters across the ends of pieces', async () => {
    // createReadStream gives 65,536 bytes at a time: three of them hold no whole number of four-byte characters and lines.
    const long = '😀é€\u2028'.repeat(9000)
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(fc.string({ unit: 'binary' }), fc.constant(long), fc.constant('x\r')), {
          maxLength: 4,
        }),
        fc.nat({ max: 5 }),
        async (parts, shift) => {
          const text = `${'-'.repeat(shift)}\n${parts.join('\n')}`
          const expected = text.split('\n')
          if (expected.at(-1) === '') expected.pop()
          expect(await linesOf(file(text))).toEqual(expected)
        },
      ),
      { seed: 13, numRuns: 40 },
    )
  })
})
