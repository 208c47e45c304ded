// A number of a JSON text as it was written, where JavaScript does not hold it or would write it otherwise.

/** Made by parseJsonKeeping in exact-json.ts: '10.0', '1e3', '7301456228930019841'. */
export class ExactNumber {
  constructor(readonly text: string) {}

  toString(): string {
    return this.text
  }

  /** For JSON.stringify: the number where it holds the value, else the text; never a rounded number. jsonText keeps the text. */
  toJSON(): number | string {
    return heldNumber(this.text) ?? this.text
  }
}

/**
 * The number that a text means, undefined where no JavaScript number holds it: an integer beyond ±2^53 - 1 that is written in
 * digits, one with a power of ten whose digits would change (1e23 and 6.02214076e23 stay), and what is beyond the largest number.
 * Fractions are rounded, as floats are everywhere.
 */
export function heldNumber(text: string): number | undefined {
  const value = Number(text)
  if (!Number.isFinite(value)) return undefined
  if (Math.abs(value) <= Number.MAX_SAFE_INTEGER) return value
  if (/^-?\d+(?:\.0+)?$/.test(text)) return undefined
  const { digits, exponent } = significant(text)
  return exponent < 0 || digits === significant(String(value)).digits ? value : undefined
}

/** A number as digits without zeros at either end, times a power of ten: '-12.50e3' has digits '125' and exponent 2. */
function significant(text: string): { digits: string; exponent: number } {
  const [, whole = '', fraction = '', power = '0'] =
    /^-?(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text) ?? []
  const digits = `${whole}${fraction}`.replace(/^0+/, '')
  const short = digits.replace(/(?<!0)0+$/, '')
  return { digits: short, exponent: Number(power) - fraction.length + digits.length - short.length }
}
