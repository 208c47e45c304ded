import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { RunList } from '../../lib/ui/run-list.js'
import { createUiHandler } from '../../lib/ui/ui-handler.js'
import { writeRun } from '../run/store/recorded-run.js'

let folder: string
let runs: RunList
const warnings: string[] = []
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hdpo-ui-'))
  await writeRun(join(folder, 'first'), 2)
  runs = new RunList(folder, (message) => warnings.push(message))
  await runs.fresh(10_000)
})
afterAll(async () => {
  await runs.close()
  await rm(folder, { recursive: true, force: true })
})

it('whatever is asked of the dashboard, it answers or says what is wrong', async () => {
  const handler = createUiHandler({
    runs,
    token: undefined,
    interval: 50,
    warn: (text) => warnings.push(text),
  })
  const path = fc.constantFrom(
    '/api/runs',
    '/api/series',
    '/api/rollouts',
    '/api/rollout',
    '/metrics',
    '/',
    '/x',
  )
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom(
      '"',
      '\u0000',
      'a\u0000b',
      '"a\u0000',
      'NEAR(',
      'a OR',
      '-1',
      '1e999',
      '9007199254740991',
      '%',
      '*',
      '^a',
    ),
  )
  const number = fc.oneof(text, fc.integer().map(String), fc.constantFrom('0', '1', '65536'))
  const query = fc.record(
    {
      run: fc.constantFrom('first', 'first', 'first', '../first', ''),
      names: text,
      task: text,
      search: text,
      correct: text,
      step: number,
      calls: number,
      minimumCalls: number,
      after: number,
      limit: number,
      id: number,
      token: text,
    },
    { requiredKeys: ['run'] },
  )
  const { HDPO_FUZZ_RUNS = '300', HDPO_FUZZ_SEED = '13' } = process.env
  await fc.assert(
    fc.asyncProperty(path, query, async (path, query) => {
      const url = `http://127.0.0.1${path}?${new URLSearchParams(query)}`
      const response = await handler(new Request(url))
      const body = await response.text()
      expect(warnings).toEqual([])
      expect(response.status, body).toBeLessThan(500)
      if (response.status >= 400) expect(Object.keys(JSON.parse(body).error)).toContain('message')
    }),
    { numRuns: Number(HDPO_FUZZ_RUNS), seed: Number(HDPO_FUZZ_SEED) },
  )
}, 300_000)
