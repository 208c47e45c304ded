/** Length of the longest end of `text` that is a beginning, but not the whole, of one of `words`. */
export function partialSuffix(text: string, words: readonly string[]): number {
  const longest = Math.max(0, ...words.map((word) => word.length - 1))
  for (let length = Math.min(longest, text.length); length > 0; length--) {
    const end = text.slice(-length)
    if (words.some((word) => word.length > length && word.startsWith(end))) return length
  }
  return 0
}
