// Decimal arithmetic on text. jsep only parses; whatever this file does not handle (identifiers, calls, members) is refused, so
// no expression reaches JavaScript. Numbers are decimals, not doubles, so that 0.3 - 0.1 - 0.2 is 0.
import { Decimal } from 'decimal.js'
import jsep from 'jsep'

// 40 digits hold any product of two 20-digit numbers, and bound the work per operation.
const Exact = Decimal.clone({ precision: 40 })
const significantDigits = 12

const binaryOperators: Record<string, (left: Decimal, right: Decimal) => Decimal> = {
  '+': (left, right) => left.plus(right),
  '-': (left, right) => left.minus(right),
  '*': (left, right) => left.times(right),
  '/': divide,
}
const unaryOperators: Record<string, (value: Decimal) => Decimal> = {
  '+': (value) => value,
  '-': (value) => value.negated(),
}

/**
 * The value of `expression`, rounded to 12 significant digits but never to fewer than its integer part has. Throws an Error that
 * says what is wrong.
 */
export function computeArithmetic(expression: string): string {
  return format(evaluate(parse(expression)))
}

function parse(expression: string): jsep.Expression {
  try {
    return jsep(expression)
  } catch (error) {
    throw new Error(`cannot read the expression: ${(error as Error).message}`, { cause: error })
  }
}

function evaluate(node: jsep.Expression): Decimal {
  switch (node.type) {
    case 'Literal':
      return literal(node as jsep.Literal)
    case 'UnaryExpression': {
      const { operator, argument } = node as jsep.UnaryExpression
      return operation(unaryOperators, operator)(evaluate(argument))
    }
    case 'BinaryExpression': {
      const { operator, left, right } = node as jsep.BinaryExpression
      return operation(binaryOperators, operator)(evaluate(left), evaluate(right))
    }
    case 'Identifier':
      throw new Error(`"${(node as jsep.Identifier).name}" is not a number`)
    case 'Compound':
      throw new Error(
        (node as jsep.Compound).body.length === 0
          ? 'the expression is empty'
          : 'there is more than one expression, or an operator is missing',
      )
    default:
      throw new Error('only numbers, + - * / and parentheses can be computed')
  }
}

function literal({ value, raw }: jsep.Literal): Decimal {
  if (typeof value !== 'number') throw new Error(`${raw} is not a number`)
  return new Exact(raw)
}

function operation<Operation>(operations: Record<string, Operation>, operator: string): Operation {
  const found = Object.hasOwn(operations, operator) ? operations[operator] : undefined
  if (!found) throw new Error(`the operator ${operator} is not supported, only + - * / and parentheses`)
  return found
}

function divide(left: Decimal, right: Decimal): Decimal {
  if (right.isZero()) throw new Error('division by zero')
  return left.dividedBy(right)
}

function format(value: Decimal): string {
  if (!value.isFinite()) throw new Error('the result is too large')
  return value.toSignificantDigits(Math.max(significantDigits, value.e + 1)).toString()
}
