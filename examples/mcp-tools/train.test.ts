import { expect, it } from 'vitest'
import { tryExample } from '../shop/try-example.js'
import { train } from './train.js'

it('trains on the tools of an MCP server', async () => {
  expect(await tryExample(train)).toContain('tools of the MCP server: price, stock')
}, 180_000)
