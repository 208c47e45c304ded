import type { ErrorCode } from './error-codes.js'

/** Every error that hdpo itself raises carries a stable `code`; native failures arrive as this with the caller's stack. */
export class HdpoError extends Error {
  readonly code: ErrorCode
  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'HdpoError'
    this.code = code
  }
}
