import { describe, expect, it } from 'vitest'
import { duration, formatTable } from '../../lib/cli/terminal/table.js'
import { Terminal } from '../../lib/cli/terminal/terminal.js'

function record(isTTY: boolean) {
  const written: string[] = []
  return { written, isTTY, columns: 20, write: (text: string) => written.push(text) }
}

describe('Terminal', () => {
  it('writes plain lines when it is not a terminal', () => {
    const output = record(false)
    const terminal = new Terminal(output)
    terminal.status('step 1')
    terminal.status('step 2')
    terminal.done()
    expect(output.written.join('')).toBe('step 1\nstep 2\n')
  })

  it('redraws one line on a terminal, cut to its width, below lines that stay', () => {
    const output = record(true)
    const terminal = new Terminal(output)
    terminal.status('a status that is longer than the terminal')
    terminal.line('note')
    terminal.done()
    const clear = '\r\u001b[2K'
    expect(output.written).toEqual([
      `${clear}a status that is lo`,
      clear,
      'note\n',
      'a status that is lo',
      clear,
    ])
  })
})

it('formatTable aligns numbers to the right', () => {
  expect(
    formatTable(
      ['name', 'value'],
      [
        ['a', 1],
        ['longer', 12345],
      ],
    ),
  ).toBe(['name    value', '------  -----', 'a           1', 'longer  12345'].join('\n'))
})

it('duration reads like a clock', () => {
  expect([5.4, 75, 3600, 7384].map(duration)).toEqual(['5s', '1m15s', '1h00m', '2h03m'])
})
