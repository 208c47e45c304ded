import { describe, expect, it } from 'vitest'
import { createProgram, describeError } from '../../lib/cli/program.js'
import { HdpoError } from '../../lib/core/errors.js'

describe('hdpo', () => {
  const program = createProgram()

  it('has its commands', () => {
    expect(program.commands.map((command) => command.name())).toEqual([
      'quickstart',
      'curate',
      'sft',
      'train',
      'eval',
      'compare',
      'chat',
      'serve',
      'ui',
      'export',
      'inspect',
      'convert',
      'doctor',
      'build',
    ])
  })

  it.each(program.commands.map((command) => [command.name(), command] as const))(
    '%s --help has an example',
    (name, command) => {
      let help = ''
      command.configureOutput({ writeOut: (text) => (help += text) })
      command.outputHelp()
      expect(help).toMatch(new RegExp(`Examples:\n  \\$ hdpo ${name}`))
    },
  )

  it('knows the version of the package', () => {
    expect(program.version()).toMatch(/^\d+\.\d+\.\d+/)
  })
})

describe('describeError', () => {
  it("shows a user's mistake as its message and anything else with its stack", () => {
    expect(describeError(new HdpoError('ERR_CONFIG', 'run.yaml: steps is missing'))).toBe(
      'run.yaml: steps is missing',
    )
    expect(describeError(new RangeError('steps must be at least 1'))).toBe('steps must be at least 1')
    expect(describeError(new Error('unexpected'))).toContain('program.test.ts')
  })
})
