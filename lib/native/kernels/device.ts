// Where a kernel runs.
import { z } from 'zod'
import { devices } from '../types.js'

export const deviceShape = {
  /** 'auto' takes a GPU where one works. Default 'cpu'. */
  device: z.enum(devices).default('cpu'),
}
