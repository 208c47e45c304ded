// Decimal arithmetic on text. jsep parses only; what this file does not name (identifiers, calls, members) is
// refused, so no expression reaches anything of JavaScript's. Decimals instead of doubles: 0.3 - 0.1 - 0.2 is
// 0.
import { Decimal } from 'decimal.js'
import jsep from 'jsep'

// Enough for any product of two numbers of 20 digits; bounds the work of every operation.
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
 * The value of `expression`, rounded to 12 significant digits but never within its integer part; throws an
 * Error that says why not.
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
