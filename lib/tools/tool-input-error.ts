import { HdpoError } from '../core/errors.js'

/** The arguments of a call do not fit the tool's input schema. The message is written for the policy that made the call. */
export class ToolInputError extends HdpoError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_TOOL_INPUT', message, options)
    this.name = 'ToolInputError'
  }
}
