// A field of CSV (RFC 4180) that no spreadsheet runs. Cells that begin with =, +, -, @, a tab or a line break are formulas there, so that
// an answer =HYPERLINK(...) would be a link to anywhere: OWASP advises an apostrophe in front, which says that text follows.

/** null and undefined become an empty field, an empty text becomes "". Numbers stay numbers, and so does text that is one. */
export function csvField(value: string | number | boolean | null | undefined): string {
  if (value === null || value === undefined) return ''
  if (typeof value !== 'string') return String(value)
  const text = isFormula(value) ? `'${value}` : value
  // Spreadsheets may also take ; and tabs for the ends of fields.
  return text === '' || /[",;\t\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

function isFormula(text: string): boolean {
  // The wide forms are what some spreadsheets take for the plain ones.
  return /^[=+\-@\t\r\n＝＋－＠]/.test(text) && !/^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i.test(text)
}
