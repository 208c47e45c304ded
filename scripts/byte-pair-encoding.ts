// A small trainer of byte-level byte pair encoding: merge the most frequent pair, again and again.
import { bytesToCharacters } from '../lib/policy/byte-alphabet.js'

interface Word {
  symbols: string[]
  count: number
}

/** `pieces`: how often each piece of text occurs. Stops early when no pair occurs twice. Of ties, the first in order wins. */
export function trainBytePairs(pieces: ReadonlyMap<string, number>, mergeCount: number): [string, string][] {
  const words: Word[] = [...pieces].map(([piece, count]) => ({
    symbols: bytesToCharacters(new TextEncoder().encode(piece)),
    count,
  }))
  const merges: [string, string][] = []
  while (merges.length < mergeCount) {
    const pair = mostFrequentPair(words)
    if (!pair) break
    merges.push(pair)
    for (const word of words) mergePair(word, pair)
  }
  return merges
}

function mostFrequentPair(words: readonly Word[]): [string, string] | undefined {
  const counts = new Map<string, number>()
  for (const { symbols, count } of words) {
    for (let i = 0; i + 1 < symbols.length; i++) {
      // No symbol holds a space, because the alphabet has another character for that byte.
      const key = `${symbols[i]} ${symbols[i + 1]}`
      counts.set(key, (counts.get(key) ?? 0) + count)
    }
  }
  let best: string | undefined
  let bestCount = 1
  for (const [key, count] of counts) {
    if (count > bestCount || (count === bestCount && best !== undefined && key < best)) {
      best = key
      bestCount = count
    }
  }
  return best?.split(' ') as [string, string] | undefined
}

function mergePair(word: Word, [left, right]: [string, string]): void {
  const { symbols } = word
  for (let i = 0; i + 1 < symbols.length; i++) {
    if (symbols[i] === left && symbols[i + 1] === right) symbols.splice(i, 2, left + right)
  }
}
