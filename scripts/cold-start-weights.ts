// Makes the cold start that a quickstart has trained the one that comes with hdpo:
//   npm run quickstart -- --from-scratch --output runs/scratch
//   npm run cold-start-weights -- runs/scratch
// Writes lib/families/<environment>/cold-start.safetensors, in bfloat16, and cold-start.json beside it. Training gives other last
// bits on other processors, so the file cannot be made again bit for bit everywhere. What it was made from can be checked
// everywhere, and test/experiment/quickstart/cold-start-recipe.test.ts does so.
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { coldStartRecipe } from '../lib/experiment/quickstart/cold-start-recipe.js'
import type { QuickstartIdentity } from '../lib/experiment/quickstart/identity.js'
import { quickstartSettings } from '../lib/experiment/quickstart/settings.js'
import { type ColdStartResult, coldStartFolder } from '../lib/experiment/quickstart/starting-policy.js'
import { builtInFamilies } from '../lib/families/built-in-families.js'
import {
  isColdStartShipped,
  type ShippedColdStart,
  sha256Of,
  shippedColdStartPaths,
} from '../lib/families/shipped-cold-start.js'
import { Policy } from '../lib/policy/policy.js'

const [run] = process.argv.slice(2)
if (run === undefined) throw new Error('give the folder of a quickstart --from-scratch, e.g. runs/scratch')

const readStage = <Result>(name: string) =>
  (JSON.parse(readFileSync(join(run, `${name}.json`), 'utf8')) as { result: Result }).result
const { environment, seed } = readStage<QuickstartIdentity>('options')
const result = readStage<ColdStartResult>('cold-start')
if (result.shipped) throw new Error(`${run} did not train its cold start: it needs --from-scratch`)
if (!isColdStartShipped(environment, seed)) {
  throw new Error(`${run} is ${environment} with seed ${seed}, whose cold start does not come with hdpo`)
}

const family = builtInFamilies[environment]({ seed })
const { coldStart } = quickstartSettings[environment]
const recipe = coldStartRecipe(family, await family.coldStart(), coldStart, seed)
if (result.recipe !== recipe)
  throw new Error(`${run} was trained by another recipe than the one of this checkout`)

const { weights, description } = shippedColdStartPaths(environment)
const folder = mkdtempSync(join(tmpdir(), 'hdpo-cold-start-'))
try {
  const policy = await Policy.load(coldStartFolder(run).policy)
  await policy.save(join(folder, 'policy'), { dtype: 'bfloat16' })
  await policy.close()
  copyFileSync(join(folder, 'policy', 'model.safetensors'), weights)
} finally {
  rmSync(folder, { recursive: true })
}

const flags = environment === 'atlas' ? '' : ` --environment ${environment}`
const shipped: ShippedColdStart = {
  environment,
  seed,
  sha256: sha256Of(readFileSync(weights)),
  recipe,
  commands: [
    `npm run quickstart -- --from-scratch${flags} --output runs/scratch`,
    'npm run cold-start-weights -- runs/scratch',
  ],
  steps: result.steps,
  machine: `${cpus().length} cores of ${cpus()[0]?.model.trim()}`,
}
writeFileSync(description, `${JSON.stringify(shipped, null, 2)}\n`)
console.log(
  `${relative(process.cwd(), weights)}: ${readFileSync(weights).length} bytes, sha256 ${shipped.sha256}`,
)
