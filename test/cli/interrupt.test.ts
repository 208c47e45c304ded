import { EventEmitter } from 'node:events'
import { describe, expect, it } from 'vitest'
import { listenForInterrupt } from '../../lib/cli/terminal/interrupt.js'

class FakeProcess extends EventEmitter {
  exits: number[] = []
  exit(code: number) {
    this.exits.push(code)
  }
}

describe('listenForInterrupt', () => {
  it('asks for an end at the first signal and exits with 130 at the second', () => {
    const source = new FakeProcess()
    const lines: string[] = []
    const interrupt = listenForInterrupt((line) => lines.push(line), source)
    expect(interrupt.signal.aborted).toBe(false)
    source.emit('SIGINT')
    expect(interrupt.signal.aborted).toBe(true)
    expect(source.exits).toEqual([])
    expect(lines).toEqual([expect.stringContaining('Finishing this step')])
    source.emit('SIGINT')
    expect(source.exits).toEqual([130])
  })

  it('stops listening when disposed', () => {
    const source = new FakeProcess()
    listenForInterrupt(() => {}, source).dispose()
    expect(source.listenerCount('SIGINT') + source.listenerCount('SIGTERM')).toBe(0)
  })
})
