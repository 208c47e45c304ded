// The compilers of JSON Schema: one a dialect and strictness, shared by all schemas, because making one takes 20 ms and compiling a
// schema one. Patterns run over what models wrote, so in linear time where that is possible.
import { Ajv, type Options, type ValidateFunction } from 'ajv'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { foreignPattern, linearPattern, type TextPattern } from './linear-pattern.js'

export type { ErrorObject, ValidateFunction } from 'ajv'

export interface SchemaKind {
  /** Report every mistake of a value, instead of the first. */
  allErrors: boolean
  /** Refuse unknown keywords, which in a user's own schema are misspellings. */
  strict: boolean
  /**
   * Who wrote the patterns. A user's own ones always count, with JavaScript's engine where none is linear; others may be of any dialect,
   * and do not count where none runs them in linear time.
   */
  patterns: 'own' | 'foreign'
}

/** Throws what Ajv throws where the schema is none. The dialect is draft-07 where `$schema` says so, else 2020-12. */
export function compileJsonSchema(schema: Record<string, unknown>, kind: SchemaKind): ValidateFunction {
  // A compiler knows the schemas with an $id that it has compiled, and two may have the same.
  if (JSON.stringify(schema).includes('"$id"')) return newCompiler(schema, kind).compile(schema)
  const compiler = compilerFor(schema, kind)
  compiler.schemas++
  try {
    return compiler.ajv.compile(schema)
  } finally {
    compiler.ajv.removeSchema(schema)
  }
}

/** What is wrong with a schema, without compiling it, which takes ten times as long; undefined where nothing is. */
export function jsonSchemaProblem(schema: Record<string, unknown>, kind: SchemaKind): string | undefined {
  const { ajv } = compilerFor(schema, kind)
  return ajv.validateSchema(schema) ? undefined : ajv.errorsText(ajv.errors, { dataVar: 'schema' })
}

interface Compiler {
  ajv: Ajv | Ajv2020
  /** Compiled so far. */
  schemas: number
}

const compilers = new Map<string, Compiler>()
// A compiler holds on to what it has compiled. A new one lets go of that which nobody else uses.
const mostSchemas = 1000

function compilerFor(schema: Record<string, unknown>, kind: SchemaKind): Compiler {
  const key = JSON.stringify([isDraft07(schema), kind.allErrors, kind.strict, kind.patterns])
  const known = compilers.get(key)
  if (known && known.schemas < mostSchemas) return known
  const compiler = { ajv: newCompiler(schema, kind), schemas: 0 }
  compilers.set(key, compiler)
  return compiler
}

function newCompiler(schema: Record<string, unknown>, kind: SchemaKind): Ajv | Ajv2020 {
  return new (isDraft07(schema) ? Ajv : Ajv2020)(optionsOf(kind))
}

function isDraft07({ $schema }: Record<string, unknown>): boolean {
  return String($schema ?? '').includes('draft-07')
}

function optionsOf({ allErrors, strict, patterns }: SchemaKind): Options {
  const engine = patterns === 'own' ? ownPattern : foreignOrNone
  // Ajv tells patterns apart by their text.
  const named = (source: string, flags: string) => {
    const pattern = engine(source, flags)
    return { test: (text: string) => pattern.test(text), toString: () => `/${source}/${flags}` }
  }
  const regExp = Object.assign(named, { code: 'pattern' })
  return {
    allErrors,
    strictTypes: false,
    // `format` is not asserted, as JSON Schema 2020-12 has it by default.
    validateFormats: false,
    // Ajv's type for a pattern is RegExp-like: it calls test alone.
    code: { regExp: regExp as unknown as NonNullable<NonNullable<Options['code']>['regExp']> },
    ...(!strict && { strict: false, logger: false }),
  }
}

/** A pattern of a user's own schema: it always counts. */
function ownPattern(source: string, flags: string): TextPattern {
  return linearPattern(source, flags) ?? new RegExp(source, flags)
}

function foreignOrNone(source: string): TextPattern {
  return linearForeignPattern(source) ?? { test: () => true }
}

/** A pattern of somebody's schema, in the dialect of JavaScript if it is one, else as RE2 reads it; undefined where it cannot be asserted. */
export function linearForeignPattern(source: string): TextPattern | undefined {
  for (const flags of ['u', '']) {
    try {
      return linearPattern(source, flags)
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error
    }
  }
  return foreignPattern(source)
}
