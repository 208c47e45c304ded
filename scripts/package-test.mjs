// Tests the published package as a user meets it. It is packed, installed into an empty folder without any install script,
// type-checked against, built from source by the explicit command and used; and installed beside the package with the built addon.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { capture, root, run, SetUpError } from './command.mjs'

// All three entries: they resolve, their types are there, and an error of one is the class of another.
const consumer = `import { type Agent, defineTool, type Environment, exactMatch, HdpoError, Policy, Trainer } from 'hdpo'
import { createAtlas, type TaskFamily } from 'hdpo/families'
import { type GroupAdvantages, kernels } from 'hdpo/kernels'
export const parts = [defineTool, exactMatch, Policy, Trainer]
export const agent: Agent = ({ messages }) => ({ answer: messages[0]?.content ?? '', toolCalls: [] })
const atlas: TaskFamily = createAtlas()
export const environment: Environment = { tools: atlas.tools, tasks: atlas.trainTasks, reward: atlas.reward }
console.log(atlas.trainTasks.length > 0 ? 'tasks' : 'no tasks')
const advantages = (): Promise<GroupAdvantages> =>
  kernels.groupAdvantages({ groupIds: [1, 1], accuracyRewards: [1, 0], correct: [true, false], toolCalls: [0, 2] })
try {
  const { accuracyAdvantages } = await advantages()
  console.log([...accuracyAdvantages].map((value) => value.toFixed(3)).join(' '))
} catch (error) {
  console.log(error instanceof HdpoError ? error.code + ': ' + error.message : error)
}
`

// Whoever checks the types of libraries, and of absent values, compiles against ours as they are.
const strictest = ['--strict', '--noUncheckedIndexedAccess', '--exactOptionalPropertyTypes']

// As `npm init -y` makes a project: no module by default.
const ownTools = `import { defineTool } from 'hdpo'
import { z } from 'zod'
import { price } from './price'
const run = ({ item }: { item: string }) => price(item)
export default [defineTool({ name: 'price', description: 'Price', input: z.object({ item: z.string() }), run })]
`
const moreTools = `import { defineTool } from 'hdpo'
export default defineTool({ name: 'more', description: 'More', input: { type: 'object' }, run: () => 'more' })
`
const ownPrice = `export const price = (item: string): number => item.length
`
const common = `import('hdpo').then(({ kernels: _, calculator }) => console.log('calculator is', typeof calculator.run))
`
// Each thread has an engine of its own.
const threaded = `import { isMainThread, Worker } from 'node:worker_threads'
import { kernels } from 'hdpo/kernels'
const groups = { groupIds: [1, 1], accuracyRewards: [1, 0], correct: [true, false], toolCalls: [0, 2] }
const { accuracyAdvantages } = await kernels.groupAdvantages(groups)
console.log(isMainThread ? 'main' : 'worker', accuracyAdvantages[0].toFixed(3))
if (isMainThread) new Worker(new URL(import.meta.url))
`

const install = ['install', '--no-audit', '--no-fund', '--prefer-offline']

/** Resolves with the number of checks passed; throws SetUpError at the first that fails. */
export async function packageTests() {
  const folder = mkdtempSync(join(tmpdir(), 'hdpo-package-'))
  let passed = 0
  const expectOutput = async (command, args, pattern) => {
    const { code, text } = await capture(command, args, { cwd: folder })
    if (code !== 0) throw new SetUpError(`"${[command, ...args].join(' ')}" ended with ${code}`)
    if (!pattern.test(text)) throw new SetUpError(`expected ${pattern} of "${[command, ...args].join(' ')}"`)
    passed++
  }
  try {
    run('npm', ['pack', '--silent', '--pack-destination', folder])
    const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz'))
    writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }\n')
    run('npm', [...install, `./${tarball}`], { cwd: folder })
    if (existsSync(join(folder, 'node_modules', 'hdpo', 'build'))) {
      throw new SetUpError('installing the package has built something: it must run no script')
    }
    passed++

    writeFileSync(join(folder, 'use.ts'), consumer)
    const compiler = [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), ...strictest]
    const options = ['--module', 'nodenext', '--target', 'es2023', '--types', 'node']
    const types = ['--typeRoots', join(root, 'node_modules', '@types')]
    run(process.execPath, [...compiler, ...options, ...types, 'use.ts'], { cwd: folder })
    passed++

    await expectOutput('npx', ['hdpo', '--version'], /^\d+\.\d+\.\d+/m)
    await expectOutput(process.execPath, ['use.js'], /^tasks\nERR_ADDON: .*npx hdpo build/m)
    await expectOutput('npx', ['hdpo', 'build'], /addon built/)
    await expectOutput(process.execPath, ['use.js'], /^0\.707 -0\.707$/m)
    await expectOutput('npx', ['hdpo', 'doctor'], /ok +Native addon/)

    await plainProject(folder, expectOutput)

    // Every x86-64 machine that runs this can run the oldest build; kernels for GPUs would take minutes to compile.
    const oldest = ['--processors', 'x86-64-v3']
    run(process.execPath, [join(root, 'scripts', 'prebuild.mjs'), ...oldest], { env: { HDPO_CUDA: 'OFF' } })
    const prebuilt = join(root, 'build', 'prebuilt')
    const tarballs = readdirSync(prebuilt).filter((name) => name.endsWith('.tgz'))
    run('npm', [...install, ...tarballs.map((name) => join(prebuilt, name))], { cwd: folder })
    if (existsSync(join(folder, 'node_modules', 'hdpo', 'build'))) {
      throw new SetUpError(
        'the addon that was built from source is still there: it would be loaded, not the prebuilt one',
      )
    }
    await expectOutput(process.execPath, ['use.js'], /^0\.707 -0\.707$/m)
    await expectOutput('npx', ['hdpo', 'doctor'], /ok +Native addon .*@hdpo.linux-x64.x86-64-v3/)
    return { passed, failed: 0, skipped: 0 }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Uses the package as a project does that is no module by default, and from another thread. */
async function plainProject(folder, expectOutput) {
  const plain = join(folder, 'plain')
  mkdirSync(plain)
  const files = {
    'package.json': '{ "private": true, "type": "commonjs" }',
    'tools.ts': ownTools,
    'price.ts': ownPrice,
    'more.js': moreTools,
    'questions.jsonl': '{"question": "1 + 1", "answer": "2"}',
    'common.js': common,
    'threaded.mjs': threaded,
  }
  for (const [name, text] of Object.entries(files)) writeFileSync(join(plain, name), text)
  await expectOutput(process.execPath, ['plain/common.js'], /^calculator is function$/m)
  await expectOutput(process.execPath, ['plain/threaded.mjs'], /^main 0\.707\nworker 0\.707$/m)
  await expectOutput('npx', ['hdpo', 'demo-model', 'plain/demo-model'], /1,000,832 parameters/)
  await expectOutput('npx', ['hdpo', 'init', 'plain'], /^tools +\.\/tools\.ts$/m)
  const asked = ['--tasks', 'plain/questions.jsonl', '--tools', './plain/tools.ts', './plain/more.js']
  await expectOutput('npx', ['hdpo', 'eval', 'plain/demo-model', ...asked], /^rollouts +1$/m)
}
