#!/usr/bin/env node
// The hdpo command.
import { createProgram, describeError } from './program.js'
import { redactStandardError } from './terminal/redacted-errors.js'

redactStandardError()
try {
  await createProgram().parseAsync()
} catch (error) {
  console.error(`hdpo: ${describeError(error)}`)
  process.exitCode = 1
}
