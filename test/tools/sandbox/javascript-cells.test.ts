// Cells that declare, use and assign names at random behave as if every name had been declared before them all.
import { createContext, runInContext } from 'node:vm'
import { parse } from 'acorn'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { toScript } from '../../../lib/tools/sandbox/javascript-cells.mjs'

const name = fc.constantFrom('a', 'b', 'c')
const number = fc.nat(9)
/** A statement as a cell has it, and as it would be with all names declared before. */
const statement = fc.oneof(
  fc.record({ kind: fc.constantFrom('const', 'let', 'var'), name, number }).map((made) => ({
    cell: `${made.kind} ${made.name} = ${made.number}`,
    plain: `${made.name} = ${made.number}`,
  })),
  fc.record({ name, number }).map((made) => ({
    cell: `class ${made.name} { static v = ${made.number} }`,
    plain: `${made.name} = class ${made.name} { static v = ${made.number} }`,
  })),
  fc.record({ name, number }).map((made) => ({
    cell: `const [${made.name}] = [${made.number}]`,
    plain: `[${made.name}] = [${made.number}]`,
  })),
  fc.record({ name, other: name }).map((made) => ({
    cell: `{ const ${made.name} = 'inner'; let ${made.other}1 }`,
    plain: `{ const ${made.name} = 'inner'; let ${made.other}1 }`,
  })),
  fc.record({ name, number }).map((made) => ({
    cell: `let ${made.name} = (() => { throw ${made.number} })()`,
    plain: `throw ${made.number}`,
  })),
  fc.record({ name, other: name }).map((made) => ({
    cell: `typeof ${made.name} === 'number' && (${made.other} = ${made.name} + 1)`,
    plain: `typeof ${made.name} === 'number' && (${made.other} = ${made.name} + 1)`,
  })),
)

function state(run: (code: string) => void, codes: readonly string[]): string {
  for (const code of codes) {
    try {
      run(code)
    } catch (error) {
      if (typeof error !== 'number') throw error
    }
  }
  const shown: string[] = []
  createReader((text) => shown.push(text))
  return shown.join()

  function createReader(tell: (text: string) => void): void {
    Object.assign(globals, { tell })
    run(
      "tell([a, b, c].map((value) => typeof value === 'function' ? value.name + value.v : String(value)).join())",
    )
  }
}
let globals: Record<string, unknown> = {}

describe('cells', () => {
  it('declare names as often as they like, in one scope', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(statement, { minLength: 1, maxLength: 1 }), { maxLength: 12 }),
        (cells) => {
          const inContext = (declare: (code: string) => string) => {
            globals = createContext({}) as Record<string, unknown>
            runInContext('var a, b, c', globals)
            return (code: string) => void runInContext(declare(code), globals)
          }
          const asCells = state(
            inContext((code) => toScript(parse, code).code),
            cells.map((cell) => cell.map((part) => part.cell).join(';\n')),
          )
          const plain = state(
            inContext((code) => code),
            cells.map((cell) => cell.map((part) => part.plain).join(';\n')),
          )
          expect(asCells).toBe(plain)
        },
      ),
      { seed: 1, numRuns: 300 },
    )
  })

  it.each([
    ['const a = 1\nlet b = 2', 'var   a = 1\nvar b = 2', false],
    ['let[a] = [await 1]', 'var[a] = [await 1]', true],
    ['class A {}\n(1)', 'var A = class A {};\n(1)', false],
    ['for (const a of b) { let c }', 'for (const a of b) { let c }', false],
    ['async () => { await 1 }', 'async () => { await 1 }', false],
    ['for await (const a of b);', 'for await (const a of b);', true],
    ['let x = (', 'let x = (', false],
    ['import("fs"); const a = 1', 'import("fs"); var   a = 1', false],
    [`${'('.repeat(100_000)}`, `${'('.repeat(100_000)}`, false],
  ])('become scripts: %#', (code, script, awaits) => {
    expect(toScript(parse, code)).toEqual({ code: script, awaits })
  })
})
