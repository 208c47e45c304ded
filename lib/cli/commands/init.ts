// hdpo init: a commented config for each command, with the model, questions, tools and conversations that a project has.
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join, relative, resolve } from 'node:path'
import type { Command } from 'commander'
import { HdpoError } from '../../core/errors.js'
import { makeWritable } from '../../core/writable.js'
import { isModulePath } from '../config/data-schema.js'
import { type FoundProject, findProject, isModelFolder, isTinyModel } from '../config/find-project.js'
import { type StarterName, type StarterPaths, starterConfig } from '../config/starter-configs.js'
import { examples } from '../terminal/examples.js'

interface InitFlags {
  policy?: string
  tasks?: string
  tools?: string[]
  traces?: string
}

export function addInitCommand(program: Command): void {
  program
    .command('init')
    .description('write commented configs for the model, tools and data of a project')
    .argument('[folder]', 'the project', '.')
    .option('--policy <folder>', 'model to begin with (default: the one that is found)')
    .option('--tasks <file>', 'questions with answers (default: found)')
    .option('--tools <modules...>', 'modules or built-in tools (default: tools.ts or the like)')
    .option('--traces <file>', 'conversations to learn from first (default: found)')
    .addHelpText('after', examples('hdpo init', 'hdpo init --policy ./Qwen3-0.6B --tasks questions.jsonl'))
    .action(init)
}

export async function init(project: string, flags: InitFlags): Promise<void> {
  const folder = resolve(project)
  await makeWritable(folder)
  const found = { ...(await findProject(folder)), ...given(flags, folder) }
  const names: StarterName[] = found.traces === undefined ? ['train'] : ['train', 'sft', 'curate']
  const there = names.map((name) => `${name}.yaml`).filter((file) => existsSync(join(folder, file)))
  if (there.length > 0) {
    throw new HdpoError('ERR_CONFIG', `${there.join(', ')}: there already, and nothing was written`)
  }
  const paths = withPlaceholders(found)
  const isTiny = await isTinyModel(resolve(folder, paths.policy))
  for (const name of names) {
    await writeFile(join(folder, `${name}.yaml`), starterConfig(name, paths, { isTiny }), { flag: 'wx' })
  }
  console.log(describe(found, paths, names))
}

/** What flags name, relative to the project, where configs look. */
function given({ policy, tasks, tools, traces }: InitFlags, folder: string) {
  const inside = (path: string) => relative(folder, resolve(path))
  if (policy !== undefined && !isModelFolder(resolve(policy))) {
    throw new HdpoError(
      'ERR_CONFIG',
      `--policy: ${policy} holds no model (config.json and tokenizer.json); hdpo demo-model makes a tiny one`,
    )
  }
  for (const [flag, path] of Object.entries({ tasks, traces })) {
    if (path !== undefined && !existsSync(path))
      throw new HdpoError('ERR_CONFIG', `--${flag}: there is no ${path}`)
  }
  return {
    ...(policy !== undefined && { policy: inside(policy) }),
    ...(tasks !== undefined && { tasks: inside(tasks) }),
    ...(traces !== undefined && { traces: inside(traces) }),
    ...(tools && { tools: tools.map((tool) => (existsSync(tool) ? inside(tool) : tool)) }),
  }
}

type Found = Omit<FoundProject, 'tools'> & { tools?: string | string[] }

function withPlaceholders({ policy, tasks, tools, traces }: Found): StarterPaths {
  const modules = [tools ?? 'tools.ts'].flat()
  return {
    policy: policy ?? 'demo-model',
    tasks: tasks ?? 'questions.jsonl',
    traces: traces ?? 'traces.jsonl',
    // A module is told from a built-in tool by its extension, but reads better as a path.
    tools: modules.map((path) => (isModulePath(path) && !path.startsWith('.') ? `./${path}` : path)),
  }
}

function describe(found: Found, paths: StarterPaths, names: readonly StarterName[]): string {
  const missing: Record<keyof Found, string> = {
    policy: `not found: a model's folder, or "hdpo demo-model ${paths.policy}" for a tiny one`,
    tasks: 'not found: lines like {"question": "...", "answer": "..."}',
    tools: 'not found: a module whose default export is a list of tools',
    traces: 'not found; a model that calls your tools already needs none',
  }
  const lines = (['policy', 'tasks', 'tools', 'traces'] as const).map((key) => {
    const path = [paths[key]].flat().join(', ')
    return `${key.padEnd(8)}${path}${found[key] === undefined ? ` is ${missing[key]}` : ''}`
  })
  const isWhole = found.policy !== undefined && found.tasks !== undefined && found.tools !== undefined
  const next =
    found.traces === undefined
      ? 'hdpo train train.yaml'
      : 'hdpo sft sft.yaml, then hdpo train train.yaml with policy: runs/sft/policy'
  return [
    ...lines,
    '',
    `Written: ${names.map((name) => `${name}.yaml`).join(', ')}. Every key is explained in them.`,
    isWhole
      ? `Next: ${next}`
      : 'Next: put what was not found into its place, or change its path in the configs.',
  ].join('\n')
}
