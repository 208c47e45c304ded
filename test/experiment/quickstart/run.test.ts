// The quickstart with hardly any training: what it reports, what it keeps, and where it goes on after a stop.
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { keepIdentity, quickstartIdentity } from '../../../lib/experiment/quickstart/identity.js'
import { type QuickstartOptions, runQuickstart } from '../../../lib/experiment/quickstart/run.js'
import { quickstartSettings } from '../../../lib/experiment/quickstart/settings.js'
import { Stages } from '../../../lib/experiment/quickstart/stages.js'
import { readSafetensorsHeader } from '../../../lib/policy/safetensors-header.js'

const { atlas } = quickstartSettings
const small = {
  ...atlas,
  train: { ...atlas.train, groupSize: 2, promptsPerStep: 2, miniBatches: 1 },
  knownSamples: 1,
  evaluationSamples: 1,
  curve: { every: 1, questions: 2 },
}

/** The lines that an observer was told, in order; `at` is called with each. */
function listen(at: (line: string) => void = () => {}) {
  const lines: string[] = []
  const tell = (line: string) => {
    lines.push(line)
    at(line)
  }
  const told = (kind: string) => (done: number, of: number, remaining: number) =>
    tell(`${kind} ${done}/${of}${Number.isFinite(remaining) && remaining >= 0 ? '' : ' without an estimate'}`)
  const observer: QuickstartOptions['observer'] = {
    note: (line) => tell(`note ${line}`),
    forecast: (stages) => tell(`forecast ${stages.map(({ title }) => title).join(', ')}`),
    stage: (description) => tell(`stage ${description}`),
    coldStartStep: ({ step }, steps, remaining) => told('cold start')(step, steps, remaining),
    questionsAsked: told('question'),
    trainStep: ({ step }, steps, remaining) => told('step')(step, steps, remaining),
  }
  return { lines, observer }
}

describe('runQuickstart', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hdpo-test-'))
  })
  afterAll(() => rm(folder, { recursive: true }))

  it('begins with the policy that comes with hdpo, says how long it will take, and says so in the report', async () => {
    const output = join(folder, 'shipped')
    const { lines, observer } = listen()
    const result = await runQuickstart({ seed: 0, output, steps: 2, settings: small, observer })
    expect(lines.filter((line) => /^(forecast|stage|step)/.test(line))).toEqual([
      'forecast what it knows, before, HDPO, after',
      'stage Cold start: the policy that comes with hdpo',
      'stage Measuring what the policy knows without tools',
      'stage Held-out questions with tools, before HDPO',
      'stage HDPO',
      'step 1/2',
      'step 2/2',
      'stage Held-out questions with tools, after HDPO',
    ])
    const asked = lines.filter((line) => line.startsWith('question '))
    expect(asked).toHaveLength(3 * 574)
    expect(asked.filter((line) => line.endsWith('574/574'))).toHaveLength(3)
    // The cold start has taught it to call for what it knows, which the quickstart sets out to unteach.
    expect(result?.report.before.redundantCallRate).toBeGreaterThan(0.9)
    expect(result?.report.before.neededCallRate).toBeGreaterThan(0.9)
    expect(result?.report.before.accuracy).toBeGreaterThan(0.7)
    expect(Object.keys(result?.report.seconds ?? {})).toEqual([
      'cold start (shipped)',
      'what it knows',
      'before',
      'HDPO',
      'after',
    ])
    const html = await readFile(result?.reportPath ?? '', 'utf8')
    expect(html).toContain('came with hdpo, trained before')
    expect(html).toContain('--from-scratch')
    expect(existsSync(join(output, 'cold-start', 'policy', 'config.json'))).toBe(true)
  })

  it('goes on after it was stopped, without doing again what is done', async () => {
    const output = join(folder, 'stopped')
    const stop = new AbortController()
    const first = listen((line) => {
      if (line.startsWith('stage Held-out questions with tools, before')) stop.abort()
    })
    const options = { seed: 0, output, steps: 1, settings: small }
    expect(await runQuickstart({ ...options, observer: first.observer, signal: stop.signal })).toBeUndefined()

    const again = new AbortController()
    const second = listen((line) => {
      if (line === 'stage HDPO') again.abort()
    })
    const resumed = { ...options, observer: second.observer, resume: true, signal: again.signal }
    expect(await runQuickstart(resumed)).toBeUndefined()
    expect(second.lines.filter((line) => /^(forecast|stage)/.test(line))).toEqual([
      'forecast before, HDPO, after',
      'stage Held-out questions with tools, before HDPO',
      'stage HDPO',
    ])
    await expect(
      runQuickstart({ ...options, observer: second.observer, resume: true, fromScratch: true }),
    ).rejects.toMatchObject({
      code: 'ERR_RESUME',
      message: expect.stringMatching(
        /fromScratch was false when .* is true now; resume it without --from-scratch/,
      ),
    })
  })

  it('trains the cold start of a seed that none comes with, and says so', async () => {
    const output = join(folder, 'scratch')
    const stop = new AbortController()
    const { lines, observer } = listen((line) => {
      if (line.startsWith('cold start 1/')) stop.abort()
    })
    const options = { seed: 1, output, settings: small, observer, signal: stop.signal }
    expect(await runQuickstart(options)).toBeUndefined()
    expect(lines.find((line) => line.startsWith('forecast'))).toBe(
      'forecast cold start, what it knows, before, HDPO, after',
    )
    expect(lines.some((line) => line.includes('no cold start comes with hdpo'))).toBe(true)
    expect(existsSync(join(output, 'cold-start', 'checkpoints', 'step-1'))).toBe(true)
  })
})

describe('the identity of a run', () => {
  const asked = { environment: 'atlas', seed: 0, fromScratch: false } as const
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hdpo-test-'))
  })
  afterAll(() => rm(folder, { recursive: true }))

  it('says that the cold start is trained, unless the one that comes with hdpo is of seed, family and settings', () => {
    const otherEpochs = { ...small, coldStart: { ...small.coldStart, epochs: 1 } }
    expect(quickstartIdentity(asked, small).fromScratch).toBe(false)
    expect(quickstartIdentity({ ...asked, fromScratch: true }, small).fromScratch).toBe(true)
    expect(quickstartIdentity({ ...asked, seed: 1 }, small).fromScratch).toBe(true)
    expect(quickstartIdentity({ ...asked, environment: 'cities' }, small).fromScratch).toBe(true)
    expect(quickstartIdentity(asked, otherEpochs).fromScratch).toBe(true)
  })

  it('does not change when a run goes on', async () => {
    const started = { ...asked, fromScratch: true }
    await keepIdentity(await Stages.open(folder, false), started, folder)
    const resumed = await Stages.open(folder, true)
    await keepIdentity(resumed, started, folder)
    const refusals = [
      [asked, /fromScratch was true when .* and is false now; resume it with --from-scratch, or choose/],
      [{ ...started, seed: 2 }, /seed was 0 when .* and is 2 now; resume it with seed 0, or choose/],
      [{ ...started, environment: 'cities' as const }, /environment was atlas when .* and is cities now/],
    ] as const
    for (const [other, message] of refusals) {
      await expect(keepIdentity(resumed, other, folder)).rejects.toMatchObject({
        code: 'ERR_RESUME',
        message: expect.stringMatching(message),
      })
    }
  })

  it('is from scratch in folders from before cold starts came with hdpo', async () => {
    await writeFile(join(folder, 'options.json'), '{"seconds":0,"result":{"environment":"atlas","seed":0}}')
    const resumed = await Stages.open(folder, true)
    await keepIdentity(resumed, { ...asked, fromScratch: true }, folder)
    await expect(keepIdentity(resumed, asked, folder)).rejects.toThrow(/fromScratch was true/)
  })
})

describe('the weights that come with hdpo', () => {
  it('are bfloat16', async () => {
    const path = new URL('../../../lib/families/atlas/cold-start.safetensors', import.meta.url)
    const tensors = await readSafetensorsHeader(path.pathname)
    expect(new Set([...tensors.values()].map(({ dtype }) => dtype))).toEqual(new Set(['BF16']))
  })
})
