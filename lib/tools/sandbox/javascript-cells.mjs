// @ts-check
// Turns a cell into a script that the same interpreter can run after others, as the consoles of browsers and Deno do: a name may be
// declared again by a later cell, also where its first declaration threw, and a cell may await.

/**
 * @typedef {{ type: string, start: number, end: number, [key: string]: unknown }} SyntaxNode
 * @typedef {{ start: number, end: number, text: string }} Edit
 */

/** How acorn reads a cell: as the body of a script that may await. */
const syntax = { ecmaVersion: 'latest', sourceType: 'script', allowAwaitOutsideFunction: true }

/**
 * The script, and whether it awaits outside of its functions. What is no JavaScript stays as it is, for the interpreter to refuse.
 * A declared constant can be assigned to: it has become a variable.
 *
 * @param {(code: string, options: any) => unknown} parse acorn's
 * @param {string} code
 * @returns {{ code: string, awaits: boolean }}
 */
export function toScript(parse, code) {
  let program
  try {
    program = /** @type {any} */ (parse(code, syntax))
  } catch {
    return { code, awaits: false }
  }
  const edits = /** @type {SyntaxNode[]} */ (program.body).flatMap(editsOf)
  return { code: edited(code, edits), awaits: awaits(program) }
}

/**
 * Declarations that a script may make once become ones that it may make again. Lines keep their numbers, and all but those of a
 * class their columns.
 *
 * @param {SyntaxNode} node
 * @returns {Edit[]}
 */
function editsOf(node) {
  const { type, start, end } = node
  if (type === 'VariableDeclaration' && (node.kind === 'const' || node.kind === 'let')) {
    const { length } = /** @type {string} */ (node.kind)
    return [{ start, end: start + length, text: 'var'.padEnd(length) }]
  }
  if (type !== 'ClassDeclaration') return []
  const { name } = /** @type {{ name: string }} */ (node.id)
  return [
    { start, end: start, text: `var ${name} = ` },
    { start: end, end, text: ';' },
  ]
}

/** @param {string} code @param {readonly Edit[]} edits in order */
function edited(code, edits) {
  let done = 0
  let text = ''
  for (const edit of edits) {
    text += code.slice(done, edit.start) + edit.text
    done = edit.end
  }
  return text + code.slice(done)
}

/** Whether there is an await that belongs to no function. @param {unknown} value @returns {boolean} */
function awaits(value) {
  if (Array.isArray(value)) return value.some(awaits)
  if (typeof value !== 'object' || value === null) return false
  const node = /** @type {SyntaxNode} */ (value)
  if (node.type === 'AwaitExpression') return true
  if (node.type === 'ForOfStatement' && node.await === true) return true
  if (/Function/.test(node.type ?? '')) return false
  return Object.values(node).some(awaits)
}
