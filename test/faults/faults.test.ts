// The short form of `npm run faults`: a few tries of every kind that needs no rights of the system, by one seed.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Fault, Laboratory, runCampaign } from './campaign.js'
import { faults } from './faults.js'
import { difference, type RunNumbers } from './numbers.js'
import { addTallies, formatCampaign } from './table.js'

const minutes = 60_000

/** Tries of each in the short form. The others need to mount a disk, or take long, and are left to the long one. */
const short: Record<string, number> = {
  'kill: any moment': 1,
  'kill: checkpoint': 1,
  'kill: save': 1,
  'disk: file size limit': 1,
  'two owners: both resume at once': 1,
  'bits: checkpoints': 1,
  'bits: policy folder': 1,
  'clock: jumps by a day during the run': 1,
  'tool server dies': 3,
  'endpoint misbehaves: judge': 4,
  'endpoint misbehaves: evaluated model': 4,
}

describe('what is disturbed', () => {
  let laboratory: Laboratory
  beforeAll(async () => {
    laboratory = await Laboratory.open(['weights'])
  }, 10 * minutes)
  afterAll(() => laboratory?.close())

  it.each(Object.entries(short))(
    '%s: the same numbers, or a refusal by name',
    { timeout: 10 * minutes },
    async (name, tries) => {
      const fault = faults.find((each) => each.name === name) as Fault
      const [tally] = await runCampaign(laboratory, { faults: [fault], seed: 1, triesOf: () => tries })
      expect(tally?.notes.filter(({ kind }) => kind === 'wrong')).toEqual([])
      expect(tally?.tries).toBe(tries)
    },
  )
})

describe('the campaign', () => {
  const numbers: RunNumbers = {
    weights: 'a',
    metrics: ['{"step":1,"loss":0.5}'],
    rollouts: ['x'],
    indexed: '1',
  }

  it('sees other weights, metrics, rollouts and a missing step', () => {
    expect(difference(numbers, numbers)).toBeUndefined()
    expect(difference(numbers, { ...numbers, weights: 'b' })).toContain('weights')
    expect(difference(numbers, { ...numbers, metrics: ['{"step":1,"loss":0.6}'] })).toContain(
      'loss: 0.6 instead of 0.5',
    )
    expect(difference(numbers, { ...numbers, metrics: [] })).toContain('0 instead of 1')
    expect(difference(numbers, { ...numbers, rollouts: ['y'] })).toContain('rollouts, step 1')
  })

  it('counts what is wrong, the try that threw too, and adds rounds', async () => {
    const verdicts: Fault = {
      name: 'made up',
      tries: 3,
      attempt: async (_, __, index) => {
        if (index === 2) throw new Error('the try broke')
        return index === 0 ? { kind: 'identical', why: '' } : { kind: 'refused', why: 'ERR_X: no' }
      },
    }
    const play = () => runCampaign(undefined as never, { faults: [verdicts], seed: 1, triesOf: () => 3 })
    const both = addTallies(await play(), await play())
    expect(both[0]).toMatchObject({ tries: 6, identical: 2, refused: 2, wrong: 2 })
    expect(formatCampaign(both, { seed: 1, minutes: 1 })).toContain('| made up | 6 | 2 | 2 | 0 | 2 |')
  })
})
