import type { ErrorCode } from './error-codes.js'

/** Every error that hdpo raises has a stable `code`. Native failures are converted to this class, with the caller's stack. */
export class HdpoError extends Error {
  readonly code: ErrorCode
  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'HdpoError'
    this.code = code
  }
}
