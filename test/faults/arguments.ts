/** A whole number from 0 that a flag was given. */
export function wholeNumber(flag: string, text: string): number {
  const number = Number(text)
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(number))
    throw new RangeError(`--${flag} must be a whole number, got ${text}`)
  return number
}
