// A result that is more than text. Policies read text only so far: images have their place in a result, and
// whoever returns one is told that it does not reach the policy.
import { z } from 'zod'
import { HdpoError } from '../core/errors.js'
import { kind, textOf } from '../core/option-kinds.js'
import { type OptionsOf, readOptions } from '../core/options.js'

const imageShape = {
  /** The image, encoded as `mediaType` says. */
  data: kind<Uint8Array>('a Uint8Array', (value) => value instanceof Uint8Array),
  /** Such as image/png. */
  mediaType: textOf('a media type that begins with image/', /^image\//),
}
export interface ToolImage extends OptionsOf<typeof imageShape> {}

export const toolOutputShape = {
  /** What the policy reads. Default: empty. */
  text: z.string().default(''),
  /** Images, which no policy sees so far. Default: none. */
  images: z.array(z.strictObject(imageShape)).readonly().default([]),
}
const toolOutput = z.strictObject(toolOutputShape)
export interface ToolOutputOptions extends OptionsOf<typeof toolOutputShape> {}

export class ToolOutput {
  readonly text: string
  readonly images: readonly ToolImage[]

  /** Throws InvalidOptionError. */
  constructor(options: ToolOutputOptions) {
    const { text, images } = readOptions(toolOutput, options, 'ToolOutput')
    this.text = text
    this.images = images
  }

  /** For a policy that reads text only. Throws where there are images and nothing else. */
  toText(): string {
    if (this.images.length === 0) return this.text
    const kinds = [...new Set(this.images.map(({ mediaType }) => mediaType))].join(', ')
    const count = `${this.images.length} ${this.images.length === 1 ? 'image' : 'images'} (${kinds})`
    if (this.text === '') {
      throw new HdpoError('ERR_IMAGE_RESULT', `the result is ${count}, but the policy reads text only`)
    }
    return `${this.text}\n[${count} left out: the policy reads text only]`
  }
}
