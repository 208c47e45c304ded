import { describe, expect, it } from 'vitest'
import { fromMcpResult } from '../../../lib/tools/mcp/result.js'
import type { ToolOutput } from '../../../lib/tools/tool-output.js'

const data = 'iVBORw0KGgo='
const image = { type: 'image' as const, data, mimeType: 'image/png' }
const blob = (mimeType: string | undefined, bytes: Uint8Array | string) => ({
  type: 'resource' as const,
  resource: { uri: 'file:///a', ...(mimeType && { mimeType }), blob: Buffer.from(bytes).toString('base64') },
})
const textOf = (result: Parameters<typeof fromMcpResult>[0]) => {
  const output = fromMcpResult(result)
  return typeof output === 'string' ? output : (output as ToolOutput).toText()
}

describe('the result of an MCP call', () => {
  it.each([
    ['the part itself', { content: [image] }],
    ['its data alone', { picture: data }],
    ['a data URL', { picture: `data:image/png;base64,${data}` }],
    ['a list of them', [{ picture: { data, type: 'image', mimeType: 'image/png' } }, data]],
  ])(
    'an image beside structured content that holds only the image: an error that says why (%s)',
    (_, structuredContent) => {
      expect(() =>
        textOf({ content: [image], structuredContent: structuredContent as Record<string, unknown> }),
      ).toThrow('the result is 1 image (image/png), but the policy reads text only')
    },
  )

  it('an image beside structured content with more: the rest, and what was left out', () => {
    const structuredContent = {
      content: [image],
      width: 3,
      note: `data:text/plain;base64,${data}`,
      empty: [],
    }
    expect(textOf({ content: [image], structuredContent })).toBe(
      `{"width":3,"note":"data:text/plain;base64,${data}","empty":[]}\n[1 image (image/png) left out: the policy reads text only]`,
    )
  })

  it('structured content without media is as it was', () => {
    expect(textOf({ content: [], structuredContent: { celsius: 21, list: [], none: {} } })).toBe(
      '{"celsius":21,"list":[],"none":{}}',
    )
  })

  it.each([
    ['text/plain', 'class A {}', 'class A {}'],
    ['text/x-csharp', '\ufeffé', 'é'],
    ['application/json', '{"a":1}', '{"a":1}'],
    ['application/ld+json; profile="x"', '{}', '{}'],
    ['image/svg+xml', '<svg/>', '<svg/>'],
    ['TEXT/HTML;charset="ISO-8859-1"', Buffer.from('é', 'latin1'), 'é'],
    ['text/plain; charset=utf-16le', Buffer.from('é', 'utf16le'), 'é'],
    ['text/plain', Buffer.from([0xff, 0xfe, 0x00]), '[file:///a: text/plain, 3 bytes, left out]'],
    ['text/plain; charset=klingon', 'a', '[file:///a: text/plain; charset=klingon, 1 bytes, left out]'],
    ['application/pdf', '%PDF', '[file:///a: application/pdf, 4 bytes, left out]'],
    [undefined, 'a', '[file:///a: not text, 1 bytes, left out]'],
  ])('a blob of %s', (mimeType, bytes, text) => {
    expect(textOf({ content: [blob(mimeType, bytes)] })).toBe(text)
  })

  it('a blob that is an image is one', () => {
    expect(() => textOf({ content: [blob('image/png', 'x')] })).toThrow('1 image (image/png)')
  })
})
