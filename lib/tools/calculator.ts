import { z } from 'zod'
import { computeArithmetic } from './arithmetic.js'
import { defineTool } from './define-tool.js'

export const calculator = defineTool({
  name: 'calculator',
  description:
    'Computes an arithmetic expression with + - * / and parentheses on decimal numbers, for example (12.5 - 4) * 3.',
  input: z.object({ expression: z.string().max(1000) }),
  run: ({ expression }) => computeArithmetic(expression),
})
