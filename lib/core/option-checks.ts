// Argument checks shared by the trainers: TypeError and RangeError that name the option, what is allowed and
// what was given.

export function checkCount(name: string, value: unknown, minimum = 1): number {
  if (typeof value !== 'number') throw new TypeError(`${name} must be a whole number, got ${String(value)}`)
  if (!Number.isSafeInteger(value) || value < minimum) {
    throw new RangeError(`${name} must be a whole number of at least ${minimum}, got ${value}`)
  }
  return value
}

export function checkPositive(name: string, value: unknown): number {
  if (typeof value !== 'number') throw new TypeError(`${name} must be a number, got ${String(value)}`)
  if (!(value > 0) || !Number.isFinite(value))
    throw new RangeError(`${name} must be greater than 0, got ${value}`)
  return value
}

export function checkNotNegative(name: string, value: unknown): number {
  if (typeof value !== 'number') throw new TypeError(`${name} must be a number, got ${String(value)}`)
  if (!(value >= 0) || !Number.isFinite(value))
    throw new RangeError(`${name} must be at least 0, got ${value}`)
  return value
}

export function checkOneOf<Choice extends string>(
  name: string,
  value: unknown,
  choices: readonly Choice[],
): Choice {
  if (!choices.includes(value as Choice)) {
    throw new RangeError(`${name} must be one of ${choices.join(', ')}, got ${JSON.stringify(value)}`)
  }
  return value as Choice
}

/** An option given as undefined takes its default. */
export function withoutUndefined<Options extends object>(options: Options): Options {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Options
}
