import { describe, expect, it } from 'vitest'
import { runToolCall } from '../../lib/rollout/run-tool-call.js'
import { defineTool } from '../../lib/tools/define-tool.js'
import { ToolInputError } from '../../lib/tools/tool-input-error.js'
import { ToolOutput } from '../../lib/tools/tool-output.js'
import { ToolTimeoutError } from '../../lib/tools/tool-timeout-error.js'
import { refuses } from '../core/wrong-options.js'

const image = { data: new Uint8Array([1]), mediaType: 'image/png' }

const call = (run: () => unknown) =>
  runToolCall(
    { kind: 'call', name: 'it', arguments: {} },
    {
      tools: [defineTool({ name: 'it', description: 'it', input: { type: 'object' }, run })],
      toolTimeout: 1000,
      toolConcurrency: 1,
      maxObservationCharacters: 1000,
      rolloutId: 'r',
      rolloutEnded: new AbortController().signal,
      signal: new AbortController().signal,
    },
  )

describe('a result with images', () => {
  it('of images alone is an error that says why', async () => {
    expect(
      await call(() => new ToolOutput({ images: [image, { ...image, mediaType: 'image/jpeg' }] })),
    ).toMatchObject({
      outcome: 'error',
      observation:
        'it failed: the result is 2 images (image/png, image/jpeg), but the policy reads text only',
    })
  })

  it('with text is its text, and says what was left out', async () => {
    expect(await call(() => new ToolOutput({ text: 'A map', images: [image] }))).toMatchObject({
      outcome: 'ok',
      observation: 'A map\n[1 image (image/png) left out: the policy reads text only]',
    })
    expect(await call(() => new ToolOutput({ text: 'text' }))).toMatchObject({
      outcome: 'ok',
      observation: 'text',
    })
  })

  refuses(
    (parts) => new ToolOutput(parts),
    [
      [{ text: 1 }, 'ToolOutput.text: must be text, got 1'],
      [{ images: 'a' }, "ToolOutput.images: must be a list, got 'a'"],
      [
        { images: [{ data: 'AA==', mediaType: 'image/png' }] },
        "ToolOutput.images[0].data: must be a Uint8Array, got 'AA=='",
      ],
      [
        { images: [image, { ...image, mediaType: 'text/plain' }] },
        "ToolOutput.images[1].mediaType: must be a media type that begins with image/, got 'text/plain'",
      ],
    ],
  )
})

describe('errors that a tool throws', () => {
  it.each([
    [new ToolTimeoutError('too slow'), 'timeout', 'it failed: too slow'],
    [new ToolInputError('a: is taken'), 'bad-arguments', 'Invalid arguments for it: a: is taken'],
    [new Error('broken'), 'error', 'it failed: broken'],
  ])('%s counts as what it is', async (error, outcome, observation) => {
    expect(
      await call(() => {
        throw error
      }),
    ).toMatchObject({ outcome, observation })
  })
})
