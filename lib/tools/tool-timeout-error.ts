import { HdpoError } from '../core/errors.js'

/**
 * A tool's own time limit ended the call; the rollout counts it as a timeout. The message is written for the policy that made the
 * call.
 */
export class ToolTimeoutError extends HdpoError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_TOOL_TIMEOUT', message, options)
    this.name = 'ToolTimeoutError'
  }
}
