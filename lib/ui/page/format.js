// Formats numbers for people.

/** Three significant digits; thousands are abbreviated. */
export function short(value) {
  if (value === undefined || value === null || Number.isNaN(value)) return '–'
  const size = Math.abs(value)
  if (size === 0) return '0'
  if (size >= 1e6) return `${(value / 1e6).toFixed(1)}M`
  if (size >= 1e4) return `${(value / 1e3).toFixed(1)}k`
  if (size >= 100) return value.toFixed(0)
  if (size >= 10) return value.toFixed(1)
  if (size >= 0.01) return value.toFixed(size >= 1 ? 2 : 3)
  return value.toExponential(1)
}

export function percent(value) {
  if (value === undefined || value === null || Number.isNaN(value)) return '–'
  const shown = value * 100
  const size = Math.abs(shown)
  if (size < 0.005) return '0%'
  if (size < 1) return `${shown.toFixed(2)}%`
  return `${size < 10 ? shown.toFixed(1) : shown.toFixed(0)}%`
}

/** A number with its sign: +0.62, −1.10, 0. */
export function signed(value, digits = 2) {
  if (value === undefined || value === null) return '–'
  const text = Math.abs(value).toFixed(digits)
  if (Number(text) === 0) return '0'
  return value < 0 ? `−${text}` : `+${text}`
}

export function count(value) {
  return value.toLocaleString('en-US')
}

export function plural(number, word) {
  return `${count(number)} ${word}${number === 1 ? '' : 's'}`
}
