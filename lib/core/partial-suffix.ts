/** Length of the longest suffix of `text` that is a proper prefix of one of `words`. */
export function partialSuffix(text: string, words: readonly string[]): number {
  const longest = Math.max(0, ...words.map((word) => word.length - 1))
  for (let length = Math.min(longest, text.length); length > 0; length--) {
    const end = text.slice(-length)
    if (words.some((word) => word.length > length && word.startsWith(end))) return length
  }
  return 0
}
