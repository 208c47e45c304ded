// JSON for readers in Python, which tell 8.0 from 8. JavaScript has one kind of number and writes both as 8.

/**
 * Keys whose whole numbers need a decimal point: transformers before version 5 warns of rope factors that are no floats, and its
 * generate() refuses such a temperature.
 */
const floatKeys = [
  'factor',
  'low_freq_factor',
  'high_freq_factor',
  'temperature',
  'top_p',
  'min_p',
  'typical_p',
  'repetition_penalty',
]

// A key begins a line of its own, and text never holds a line break.
const wholeNumber = new RegExp(`^(\\s*"(?:${floatKeys.join('|')})": -?\\d+)(,?)$`, 'gm')

export function formatJson(value: unknown): string {
  return `${JSON.stringify(value, null, 2).replace(wholeNumber, '$1.0$2')}\n`
}
