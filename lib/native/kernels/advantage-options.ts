// How a group's rewards are normalised (docs/algorithm.md, "Two advantages").
import { z } from 'zod'
import { notNegative } from '../../core/option-kinds.js'

export const normalisationShape = {
  /** Added to standard deviations. Default 1e-6. */
  epsilon: notNegative.max(1e30).default(1e-6),
  /** false leaves the division by a group's standard deviation out (Dr. GRPO). Default true. */
  scaleByStd: z.boolean().default(true),
}
