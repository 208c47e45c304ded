#!/usr/bin/env node
// The hdpo command.
import { createProgram, describeError } from './program.js'

try {
  await createProgram().parseAsync()
} catch (error) {
  console.error(`hdpo: ${describeError(error)}`)
  process.exitCode = 1
}
