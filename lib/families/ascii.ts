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

/** The text without accents, which takes fewer tokens and is what people type into a search box. */
export function toAscii(text: string): string {
  return text
    .normalize('NFD')
    .replace(/\p{M}/gu, '')
    .replace(/[ʻʼ’‘`]/g, "'")
    .replace(/[łđøØæÆıß]/g, (letter) => foldedLetters[letter] as string)
}
