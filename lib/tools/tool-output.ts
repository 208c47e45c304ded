// A result that is more than text. A result may hold images, but policies read only text so far; a tool that returns only images
// fails with a message that says so.
import { z } from 'zod'
import { HdpoError } from '../core/errors.js'
import { kind, textOf } from '../core/option-kinds.js'
import { type OptionsOf, readOptions } from '../core/options.js'

const imageShape = {
  /** The encoded image, of type `mediaType`. */
  data: kind<Uint8Array>('a Uint8Array', (value) => value instanceof Uint8Array),
  /** The image's media type, such as image/png. */
  mediaType: textOf('a media type that begins with image/', /^image\//),
}
export interface ToolImage extends OptionsOf<typeof imageShape> {}

export const toolOutputShape = {
  /** The text that the policy reads. Default: empty. */
  text: z.string().default(''),
  /** Images, which no policy can see yet. Default: none. */
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

  /** The text for a policy. Throws where the output holds images and no text. */
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
