// What hdpo quickstart does before its first stage, and what it says when it is stopped.
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { describeResult, resumeCommand } from '../../lib/cli/commands/quickstart.js'
import { createProgram } from '../../lib/cli/program.js'
import { summarize } from '../../lib/evaluation/evaluate.js'
import type { ShippedColdStart } from '../../lib/families/shipped-cold-start.js'
import { loadAddon } from '../../lib/native/addon.js'

const { usable, missing } = loadAddon().cudaStatus()

const nothing = summarize([])
const result = {
  environment: 'atlas' as const,
  report: {
    title: '',
    before: nothing,
    after: nothing,
    curveStart: nothing,
    metrics: [],
    seconds: { HDPO: 200 },
    facts: {},
  },
  reportPath: 'report.html',
  policyPath: 'policy',
  knowledge: { known: new Set<string>(), needed: new Set<string>(), rightShare: new Map(), samples: 8 },
}

describe('hdpo quickstart', () => {
  it.skipIf(usable)('with a GPU that is not there says what is missing and writes nothing', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'hdpo-test-'))
    try {
      const output = join(folder, 'run')
      const run = createProgram().parseAsync(
        ['quickstart', '--device', 'cuda', '--output', output, '--steps', '1'],
        { from: 'user' },
      )
      await expect(run).rejects.toMatchObject({ code: 'ERR_DEVICE', message: `--device cuda: ${missing}` })
      expect(existsSync(output)).toBe(false)
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  it('goes on with what it was started with', () => {
    const flags = { environment: 'atlas', seed: 3, output: 'runs/a' } as const
    expect(resumeCommand({ ...flags, device: 'cpu' })).toMatch(
      / quickstart --resume --environment atlas --seed 3 --output runs\/a$/,
    )
    expect(resumeCommand({ ...flags, device: 'cuda' })).toMatch(/ --output runs\/a --device cuda$/)
    expect(resumeCommand({ ...flags, device: 'cpu', steps: 40, fromScratch: true })).toMatch(
      / --output runs\/a --steps 40 --from-scratch$/,
    )
  })

  it('says where the cold start came from', () => {
    const shipped: ShippedColdStart = {
      environment: 'atlas',
      seed: 0,
      sha256: '0123456789abcdef',
      recipe: '',
      commands: [],
      steps: 2000,
      machine: 'two cores',
    }
    const line = 'The cold start came with hdpo, trained before: 2000 steps on two cores'
    const text = describeResult({ ...result, coldStart: { steps: 2000, shipped } }, 300)
    expect(text).toContain(line)
    expect(text).toMatch(/ quickstart --from-scratch /)
    expect(describeResult({ ...result, coldStart: { steps: 2000 } }, 300)).not.toContain('cold start')
  })
})
