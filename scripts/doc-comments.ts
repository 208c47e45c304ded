// The doc comments of options, read with the TypeScript compiler: of a shape written out, spread, destructured, or taken from another
// one's property, wherever the comment stands.
import { join, relative } from 'node:path'
import ts from 'typescript'
import { root } from './command.mjs'

export interface DescribedOption {
  name: string
  /** Empty where nobody has written one. */
  comment: string
  /** Of an option that has options of its own. */
  options?: DescribedOption[]
}

export class CommentReader {
  readonly #checker: ts.TypeChecker
  readonly #file: ts.SourceFile
  /** Where options that were described are declared. */
  readonly #seen = new Set<ts.Node>()
  readonly #program: ts.Program

  constructor(file: string) {
    const configPath = join(root, 'tsconfig.json')
    const config = ts.readConfigFile(configPath, ts.sys.readFile).config as object
    const { options } = ts.parseJsonConfigFileContent({ ...config, include: [], files: [file] }, ts.sys, root)
    this.#program = ts.createProgram([file], { ...options, types: [] })
    this.#checker = this.#program.getTypeChecker()
    this.#file = this.#program.getSourceFile(file) as ts.SourceFile
  }

  /** Of every `shape: ...` in the file, in order. */
  shapes(): DescribedOption[][] {
    const found: DescribedOption[][] = []
    const visit = (node: ts.Node): void => {
      if (ts.isPropertyAssignment(node) && node.name.getText() === 'shape')
        found.push(this.#describe(node.initializer))
      ts.forEachChild(node, visit)
    }
    visit(this.#file)
    return found
  }

  /** Constants of lib/ that are named as shapes are, with an option that nothing has described. Call it after shapes(). */
  forgotten(): string[] {
    const files = this.#program
      .getSourceFiles()
      .filter(({ fileName }) => fileName.startsWith(join(root, 'lib')))
    return files.flatMap((file) =>
      file.statements.filter(ts.isVariableStatement).flatMap(({ declarationList }) =>
        declarationList.declarations
          .filter(
            ({ name, initializer }) =>
              /Shape$/.test(name.getText()) && initializer && ts.isObjectLiteralExpression(initializer),
          )
          .filter((shape) => this.#ownProperties(shape).some((property) => !this.#seen.has(property)))
          .map(({ name }) => `${name.getText()} (${relative(root, file.fileName)})`),
      ),
    )
  }

  #ownProperties({ initializer }: ts.VariableDeclaration): ts.Node[] {
    return (initializer as ts.ObjectLiteralExpression).properties.filter(
      (property) => !ts.isSpreadAssignment(property),
    )
  }

  #describe(shape: ts.Expression): DescribedOption[] {
    const object = this.#objectOf(shape)
    if (!object) throw new Error(`${shape.getText()} is no shape of options`)
    return this.#checker.getPropertiesOfType(this.#checker.getTypeAtLocation(object)).map((property) => {
      const value = this.#valueOf(property)
      const nested = value && this.#objectOf(value)
      return {
        name: property.name,
        comment: this.#commentOf(property),
        ...(nested && { options: this.#describe(nested) }),
      }
    })
  }

  /** Its own comment, else that of the option which it is made from. */
  #commentOf(property: ts.Symbol): string {
    const [declaration] = property.declarations ?? []
    if (declaration) this.#seen.add(declaration)
    const own = ts.displayPartsToString(property.getDocumentationComment(this.#checker))
    const value = this.#valueOf(property)
    const source = value && this.#propertyOf(value)
    const taken = source ? this.#commentOf(source) : ''
    return (own || taken).replaceAll(/\s*\n\s*/g, ' ').trim()
  }

  /** What stands behind the colon; of a shorthand, the constant that it names. */
  #valueOf(property: ts.Symbol): ts.Expression | undefined {
    const [declaration] = property.declarations ?? []
    if (!declaration) return undefined
    if (ts.isPropertyAssignment(declaration)) return declaration.initializer
    return ts.isShorthandPropertyAssignment(declaration) ? declaration.name : undefined
  }

  /** The property that an expression takes: `samplingShape.topP.unwrap()`, or a constant that was destructured. */
  #propertyOf(value: ts.Expression): ts.Symbol | undefined {
    if (ts.isCallExpression(value)) {
      if (ts.isPropertyAccessExpression(value.expression))
        return this.#propertyOf(value.expression.expression)
      // A function of an option: axis(algorithmShape.alpha).
      return value.arguments[0] && this.#propertyOf(value.arguments[0])
    }
    if (ts.isPropertyAccessExpression(value)) {
      const isShape = this.#objectOf(value.expression) !== undefined
      return isShape ? this.#checker.getSymbolAtLocation(value.name) : this.#propertyOf(value.expression)
    }
    if (!ts.isIdentifier(value)) return undefined
    const declaration = this.#declarationOf(value)
    if (!declaration || !ts.isBindingElement(declaration)) return undefined
    const name = (declaration.propertyName ?? declaration.name).getText()
    return this.#checker.getTypeAtLocation(declaration.parent).getProperty(name)
  }

  /** The expression that has the options as its properties, in what may be a zod type of them. */
  #objectOf(expression: ts.Expression): ts.Expression | undefined {
    if (ts.isObjectLiteralExpression(expression)) return expression
    if (ts.isCallExpression(expression)) return this.#objectIn(expression)
    if (ts.isPropertyAccessExpression(expression)) {
      const property = this.#checker.getSymbolAtLocation(expression.name)
      const value = property && this.#valueOf(property)
      return value && this.#objectOf(value)
    }
    if (!ts.isIdentifier(expression)) return undefined
    const declaration = this.#declarationOf(expression)
    if (!declaration) return undefined
    if (ts.isBindingElement(declaration)) {
      if (declaration.dotDotDotToken) return expression
      const property = this.#propertyOf(expression)
      const value = property && this.#valueOf(property)
      return value && this.#objectOf(value)
    }
    if (!ts.isVariableDeclaration(declaration) || !declaration.initializer) return undefined
    return ts.isObjectLiteralExpression(declaration.initializer)
      ? expression
      : this.#objectOf(declaration.initializer)
  }

  /** z.strictObject({...}), z.union([..., z.strictObject({...})]), z.array(...), and any of them with methods called on it. */
  #objectIn({ expression: callee, arguments: given }: ts.CallExpression): ts.Expression | undefined {
    if (!ts.isPropertyAccessExpression(callee)) return undefined
    if (callee.expression.getText() !== 'z') return this.#objectOf(callee.expression)
    const [first] = given
    if (!first) return undefined
    const name = callee.name.getText()
    if (name === 'strictObject' || name === 'object' || name === 'array') return this.#objectOf(first)
    if (name !== 'union' || !ts.isArrayLiteralExpression(first)) return undefined
    // Of several forms none is the one.
    const objects = first.elements
      .map((form) => this.#objectOf(form))
      .filter((object) => object !== undefined)
    return objects.length === 1 ? objects[0] : undefined
  }

  #declarationOf(identifier: ts.Identifier): ts.Declaration | undefined {
    const shorthand = ts.isShorthandPropertyAssignment(identifier.parent)
      ? this.#checker.getShorthandAssignmentValueSymbol(identifier.parent)
      : this.#checker.getSymbolAtLocation(identifier)
    if (!shorthand) return undefined
    const isAlias = (shorthand.flags & ts.SymbolFlags.Alias) !== 0
    const symbol = isAlias ? this.#checker.getAliasedSymbol(shorthand) : shorthand
    return symbol.declarations?.[0]
  }
}
