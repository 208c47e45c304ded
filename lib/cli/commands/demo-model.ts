// hdpo demo-model: a tiny model to try tools and configs with, before anything is downloaded.
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { HdpoError } from '../../core/errors.js'
import { checkReplaceableFolder } from '../../core/writable.js'
import { unpackShippedPolicy } from '../../experiment/quickstart/starting-policy.js'
import { createAtlas } from '../../families/atlas/atlas.js'
import { describePolicyFolder } from '../../policy/inspect.js'
import { examples } from '../terminal/examples.js'

export function addDemoModelCommand(program: Command): void {
  program
    .command('demo-model')
    .description('write a tiny model that has learnt to call tools, to try your own with')
    .argument('<folder>', 'the folder to write; it must not exist yet')
    .addHelpText('after', examples('hdpo demo-model demo-model', 'hdpo demo-model demo-model && hdpo init'))
    .action(writeDemoModel)
}

export async function writeDemoModel(folder: string): Promise<void> {
  const target = resolve(folder)
  if (existsSync(target)) {
    throw new HdpoError('ERR_CONFIG', `folder: ${folder} is there already; name one that is not`)
  }
  await checkReplaceableFolder(target)
  await unpackShippedPolicy('atlas', createAtlas(), target)
  const { parameters } = await describePolicyFolder(target)
  console.log(
    `${folder}: ${parameters.toLocaleString('en')} parameters, as the quickstart has them before HDPO.`,
  )
  console.log(
    'It looks up countries and calculates. What your tools are for, it learns from conversations first:',
  )
  console.log('hdpo init writes an sft.yaml where it finds some.')
}
