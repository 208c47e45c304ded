// What hdpo quickstart does before its first stage, and what it says when it is stopped.
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createProgram } from '../../lib/cli/program.js'
import { resumeCommand } from '../../lib/cli/quickstart.js'
import { loadAddon } from '../../lib/native.js'

const { usable, missing } = loadAddon().cudaStatus()

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

  it('goes on with the device it was started with', () => {
    const flags = { environment: 'atlas', seed: 3, output: 'runs/a' } as const
    expect(resumeCommand({ ...flags, device: 'cpu' })).toMatch(
      / quickstart --resume --environment atlas --seed 3 --output runs\/a$/,
    )
    expect(resumeCommand({ ...flags, device: 'cuda' })).toMatch(/ --output runs\/a --device cuda$/)
  })
})
