// Letters that Unicode does not decompose.
const foldedLetters: Record<string, string> = {
  ł: 'l',
  đ: 'd',
  ø: 'o',
  Ø: 'O',
  æ: 'ae',
  Æ: 'Ae',
  ı: 'i',
  ß: 'ss',
}

/** Without accents: short in tokens, and what people type into a search box. */
export function toAscii(text: string): string {
  return text
    .normalize('NFD')
    .replace(/\p{M}/gu, '')
    .replace(/[ʻʼ’‘`]/g, "'")
    .replace(/[łđøØæÆıß]/g, (letter) => foldedLetters[letter] as string)
}
