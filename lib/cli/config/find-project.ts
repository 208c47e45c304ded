// What a project has that a config names: a model, questions, conversations, tools. Found by what files hold, not by their names
// alone, in the project's folder and in its data/.
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { parseJson } from '../../core/exact-json.js'
import { isRecord } from '../../core/is-record.js'
import { readLines } from '../../core/text-file.js'
import { lineExtensions } from '../../tasks/rows.js'

import { moduleExtensions } from './data-schema.js'

export interface FoundProject {
  /** Paths relative to the folder; absent where there is none. */
  policy?: string
  tasks?: string
  tools?: string
  traces?: string
}

const toolModules = ['', 'src/', 'lib/'].flatMap((folder) =>
  moduleExtensions.map((extension) => `${folder}tools${extension}`),
)

export async function findProject(folder: string): Promise<FoundProject> {
  const tools = toolModules.find((path) => existsSync(join(folder, path)))
  const found: FoundProject = { ...(tools !== undefined && { tools }) }
  for (const inside of ['', 'data/']) {
    for (const { name, isFolder } of await entries(join(folder, inside))) {
      const path = `${inside}${name}`
      if (isFolder) {
        if (isModelFolder(join(folder, path))) found.policy ??= path
        continue
      }
      const holds = await whatItHolds(join(folder, path))
      if (holds !== undefined) found[holds] ??= path
    }
  }
  return found
}

export function isModelFolder(folder: string): boolean {
  return ['config.json', 'tokenizer.json'].every((file) => existsSync(join(folder, file)))
}

/** Whether a model is so small that it is trained as the demo model is: its hidden states are narrower than 512. */
export async function isTinyModel(folder: string): Promise<boolean> {
  let config: unknown
  try {
    config = parseJson(await readFile(join(folder, 'config.json'), 'utf8'))
  } catch {
    return false // whoever loads it says what is wrong with it
  }
  return isRecord(config) && typeof config.hidden_size === 'number' && config.hidden_size < 512
}

async function entries(folder: string): Promise<{ name: string; isFolder: boolean }[]> {
  if (!existsSync(folder)) return []
  const found = await readdir(folder, { withFileTypes: true })
  return found
    .filter(({ name }) => !name.startsWith('.') && name !== 'node_modules')
    .map((entry) => ({ name: entry.name, isFolder: entry.isDirectory() }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** By the first line that is no white space; a file that cannot be read as JSON lines holds neither. */
async function whatItHolds(path: string): Promise<'tasks' | 'traces' | undefined> {
  if (!lineExtensions.includes(extname(path))) return undefined
  try {
    for await (const { text } of readLines(path, 'ERR_CONFIG')) {
      if (text.trim() !== '') return kindOf(parseJson(text))
    }
  } catch {
    return undefined
  }
  return undefined
}

function kindOf(row: unknown): 'tasks' | 'traces' | undefined {
  if (!isRecord(row)) return undefined
  if ('resourceSpans' in row) return 'traces'
  if ('answer' in row) return 'tasks'
  const isSpoken = (message: unknown) => isRecord(message) && message.role === 'assistant'
  return Array.isArray(row.messages) && row.messages.some(isSpoken) ? 'traces' : undefined
}
