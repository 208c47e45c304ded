// The byte-level alphabet of GPT-2 style tokenizers: every byte has one printable character, so that a vocabulary is text.
// Printable Latin-1 bytes stand for themselves; the others are numbered from U+0100 on, in order.

const characters = new Array<string>(256)
const bytes = new Map<string, number>()

let next = 0x100
for (let byte = 0; byte < 256; byte++) {
  const character = String.fromCodePoint(isPrintable(byte) ? byte : next++)
  characters[byte] = character
  bytes.set(character, byte)
}

/** The characters that stand for the bytes, one each. */
export function bytesToCharacters(input: Uint8Array): string[] {
  return Array.from(input, (byte) => characters[byte] as string)
}

/** The bytes that a vocabulary entry stands for; undefined where a character is not of the alphabet. */
export function charactersToBytes(entry: string): Uint8Array | undefined {
  const result = new Uint8Array(entry.length)
  for (let i = 0; i < entry.length; i++) {
    const byte = bytes.get(entry[i] as string)
    if (byte === undefined) return undefined
    result[i] = byte
  }
  return result
}

function isPrintable(byte: number): boolean {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xff && byte !== 0xad)
}
