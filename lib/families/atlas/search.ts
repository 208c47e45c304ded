import { z } from 'zod'
import { defineTool } from '../../tools/define-tool.js'
import { searchSheets } from './fact-sheets.js'

export const search = defineTool({
  name: 'search',
  description:
    'Full-text search over country fact sheets. Name the country and what you want to know about it.',
  input: z.object({ query: z.string() }),
  run: ({ query }) => searchSheets(query),
})
