// A result that is more than text. Policies read text only so far: images have their place in a result, and
// whoever returns one is told that it does not reach the policy.
import { HdpoError } from '../core/errors.js'

export interface ToolImage {
  /** Encoded as `mediaType` says. */
  data: Uint8Array
  /** Such as image/png. */
  mediaType: string
}

export class ToolOutput {
  readonly text: string
  readonly images: readonly ToolImage[]

  constructor({ text = '', images = [] }: { text?: string; images?: readonly ToolImage[] }) {
    if (typeof text !== 'string') throw new TypeError(`text: must be a string, got ${typeof text}`)
    if (!Array.isArray(images)) throw new TypeError(`images: must be a list, got ${typeof images}`)
    for (const [index, image] of images.entries()) checkImage(image, index)
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

function checkImage(image: Partial<ToolImage> | null, index: number): void {
  if (!(image?.data instanceof Uint8Array))
    throw new TypeError(`images[${index}].data: must be a Uint8Array, got ${typeof image?.data}`)
  if (typeof image.mediaType !== 'string' || !image.mediaType.startsWith('image/')) {
    throw new TypeError(
      `images[${index}].mediaType: must begin with image/, got ${JSON.stringify(image.mediaType)}`,
    )
  }
}
