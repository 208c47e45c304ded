// The dashboard in a real browser: Debian's chromium, headless.
import { existsSync } from 'node:fs'
import { appendFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { startUi, type UiServer } from '../../lib/ui/ui-server.js'
import { recordedRollout, writeRun, writeStep } from '../run/store/recorded-run.js'

const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(
  existsSync,
)
const evil = `<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>`

let folder: string
let browser: Browser
let ui: UiServer
let page: Page
const complaints: string[] = []

beforeAll(async () => {
  if (executablePath === undefined) throw new Error('chromium is missing: sudo apt-get install chromium')
  folder = await mkdtemp(join(tmpdir(), 'hdpo-page-'))
  await writeRun(join(folder, 'first'), 5)
  await writeRun(join(folder, 'second'), 4)
  await writeStep(join(folder, 'first'), 5, [
    recordedRollout(0, 0, {
      finalAnswer: evil,
      messages: [
        { role: 'user', content: evil },
        { role: 'assistant', content: evil },
      ],
    }),
    recordedRollout(0, 1),
  ])
  ui = await startUi({ folder, interval: 100, onWarning: (message) => complaints.push(message) })
  // A page of a run that is not indexed yet shows only a part of it; these tests wait until all is indexed.
  const indexed = async () => {
    const { runs } = (await (await fetch(`${ui.url}/api/runs`)).json()) as { runs: { rollouts: number }[] }
    return runs.map(({ rollouts }) => rollouts)
  }
  await vi.waitFor(async () => expect(await indexed()).toEqual([18, 16]), { timeout: 60_000 })
  browser = await chromium.launch({ executablePath, args: ['--no-sandbox'], timeout: 180_000 })
}, 300_000)
afterAll(async () => {
  await browser?.close()
  await ui?.close()
  if (folder) await rm(folder, { recursive: true, force: true })
})
afterEach(async () => {
  await page?.close()
  expect(complaints.splice(0)).toEqual([])
})

async function open(hash: string, options: Parameters<Browser['newPage']>[0] = {}): Promise<Page> {
  page = await browser.newPage({ viewport: { width: 1280, height: 900 }, ...options })
  page.setDefaultTimeout(60_000)
  page.on('pageerror', (error) => complaints.push(error.message))
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text())
  })
  await page.goto(`${ui.url}/${hash}`)
  return page
}

/** Waits until nothing sticks out of the window; plots adapt to its width one frame later. */
const untilItFits = (shown: Page) =>
  shown.waitForFunction('document.documentElement.scrollWidth <= innerWidth')

// The page draws in the next animation frame, so tests wait for the effect of an action and never read it at once.
describe('the page', { timeout: 300_000 }, () => {
  it('draws curves of the chosen runs, and goes on while they train', async () => {
    const shown = await open('#/overview?runs=first')
    await shown.locator('.plot canvas').first().waitFor()
    await shown.locator('.tile .value').first().filter({ hasText: '30%' }).waitFor()
    await shown.getByRole('checkbox', { name: 'second' }).check()
    await shown.locator('.legend .item[title="second"]').first().waitFor()
    await appendFile(
      join(folder, 'first', 'metrics.jsonl'),
      '{"step":6,"accuracy":0.95,"callsPerRollout":0.25}\n',
    )
    await shown.getByText('step 6').waitFor()
    await untilItFits(shown)
  })

  it('shows a rollout, its tokens, and why it was pushed', async () => {
    const shown = await open('#/rollouts?run=first&step=2')
    await shown.locator('.reading h1').waitFor()
    await shown.locator('.found', { hasText: '4 rollouts' }).waitFor()
    await shown.locator('table.group tbody tr').first().click()
    await shown
      .getByText("Its reward is 1.00, the group's mean 0.55: 1 of 2 are right, this one is one of them.")
      .waitFor()
    await shown.getByRole('button', { name: 'accuracy', exact: true }).click()
    await shown.locator('.tokens .sampled[data-tint="accuracy"]').first().waitFor()
    await shown.locator('.tokens .sampled').first().hover()
    await shown.getByText('accuracy +0.700 (weight 1)').waitFor()
    await untilItFits(shown)
  })

  it('filters and searches', async () => {
    const shown = await open('#/rollouts?run=second')
    await shown.getByText('16 rollouts').waitFor()
    await shown.getByLabel('Right or wrong').selectOption('true')
    await shown.getByText('8 rollouts').waitFor()
    await shown.getByLabel('Search').fill('question 1')
    await shown.getByText('4 rollouts').waitFor()
    await shown.getByLabel('Step').fill('3')
    await shown.keyboard.press('Enter')
    await shown.getByText('1 rollout', { exact: true }).waitFor()
  })

  it('is worked by keyboard', async () => {
    const shown = await open('#/overview')
    await shown.locator('.plot canvas').first().waitFor()
    await shown.keyboard.press('2')
    await shown.locator('.items button[aria-current="true"]').waitFor()
    const facts = shown.locator('.reading .facts', { hasText: /task-\d#\d/ })
    const first = /task-\d#\d/.exec((await facts.textContent()) ?? '')?.[0] as string
    await shown.keyboard.press('j')
    await shown.locator('.reading .facts').filter({ hasNotText: first }).waitFor()
    await shown.keyboard.press('k')
    await shown.locator('.reading .facts').filter({ hasText: first }).waitFor()
    await shown.keyboard.press('d')
    await shown.locator('html[data-theme="dark"]').waitFor()
    await shown.keyboard.press('?')
    await shown.getByText('next, previous rollout').waitFor()
  })

  it("shows a run's markup as text", async () => {
    const shown = await open('#/rollouts?run=first&step=5&correct=true')
    await shown.locator('.reading h1', { hasText: '<script>' }).waitFor()
    expect(await shown.locator('.reading h1', { hasText: '<script>' }).textContent()).toBe(evil)
    expect(await shown.evaluate('window.hacked')).toBeUndefined()
    expect(await shown.locator('.reading img, .items img').count()).toBe(0)
  })

  it.each(['#/overview?runs=first', '#/rollouts?run=first&step=2'])('fits a phone: %s', async (hash) => {
    const shown = await open(hash, { viewport: { width: 390, height: 844 }, hasTouch: true })
    await shown.locator('.plot canvas, .reading h1').first().waitFor()
    await untilItFits(shown)
  })
})
