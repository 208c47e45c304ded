// One bit of one file is flipped: what is read must be noticed, or made anew, or give the same numbers.
import { cp, mkdir, open, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Random } from '../../lib/core/random.js'
import { createAtlas } from '../../lib/families.js'
import { HdpoError, Policy } from '../../lib/index.js'
import { type Fault, identical, type Laboratory, refused, taken, type Verdict, wrong } from './campaign.js'

export const bits: Fault[] = [
  inRun('bits: checkpoints', 36, /^checkpoints\//),
  inRun('bits: metrics.jsonl', 12, /^metrics\.jsonl$/),
  inRun('bits: rollouts/', 12, /^rollouts\//),
  inRun('bits: reference.safetensors', 6, /^reference\.safetensors$/),
  inRun('bits: run.sqlite', 12, /^run\.sqlite/),
  inRun('bits: config.yaml', 6, /^config\.yaml$/),
  { name: 'bits: policy folder', tries: 24, attempt: inPolicyFolder },
]

/** In a file of a run that was interrupted after step 4 of its 6 or 8, which is then resumed. */
function inRun(name: string, tries: number, files: RegExp): Fault {
  return {
    name,
    tries,
    attempt: (laboratory, random, index) => {
      const kind = name.endsWith('reference.safetensors') ? 'weights' : laboratory.kindOf(index)
      return laboratory.inFolder(async (folder) => {
        const output = join(folder, 'run')
        await cp(laboratory.whole(kind).folder, output, { recursive: true })
        await interruptAfter(output, 4)
        const found = (await filesUnder(output)).filter((path) => files.test(path))
        // A supervised run has no rollouts.
        if (found.length === 0) return identical
        const where = await flipBit(output, random.pick(found), random)
        const verdict = await laboratory.resume(kind, output)
        return verdict.kind === 'wrong' ? wrong(`${where}: ${verdict.why}`) : verdict
      })
    },
  }
}

/** Takes away what comes after the checkpoint of the step. */
async function interruptAfter(output: string, step: number): Promise<void> {
  await rm(join(output, 'policy'), { recursive: true })
  for (const name of await readdir(join(output, 'checkpoints'))) {
    const saved = Number(/^step-(\d+)$/.exec(name)?.[1])
    if (saved > step) await rm(join(output, 'checkpoints', name), { recursive: true })
  }
}

async function filesUnder(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort()
}

/** Half of the flips are within the first kilobyte, where headers are. Returns which bit it was. */
async function flipBit(folder: string, name: string, random: Random): Promise<string> {
  const file = await open(join(folder, name), 'r+')
  try {
    const { size } = await file.stat()
    const byte = random.integer(0, (random.next() < 0.5 ? Math.min(size, 1024) : size) - 1)
    const bit = random.integer(0, 7)
    const buffer = Buffer.alloc(1)
    await file.read(buffer, 0, 1, byte)
    buffer[0] = (buffer[0] as number) ^ (1 << bit)
    await file.write(buffer, 0, 1, byte)
    return `bit ${bit} of byte ${byte} of ${name}`
  } finally {
    await file.close()
  }
}

/** In a file of the policy that a run saved, which is then loaded and asked. */
function inPolicyFolder(laboratory: Laboratory, random: Random): Promise<Verdict> {
  return laboratory.inFolder(async (folder) => {
    const copy = join(folder, 'policy')
    await mkdir(copy)
    await cp(laboratory.start, copy, { recursive: true })
    const names = (await filesUnder(copy)).filter((name) => name !== 'README.md')
    const expected = await says(laboratory.start)
    const where = await flipBit(copy, random.pick(names), random)
    try {
      // The formats of Hugging Face have no checksums: text and weights that can be read are what somebody may have meant.
      return (await says(copy)) === expected ? identical : taken(`${where}: read as it stands`)
    } catch (error) {
      if (error instanceof HdpoError && error.code !== 'ERR_INTERNAL')
        return refused(`${error.code}: ${error.message}`)
      return wrong(`${where}: ${error instanceof Error ? error.stack : error}`)
    }
  })
}

/** What decides a rollout: the prompt's tokens, all their logprobs, and the text of all tokens. */
async function says(folder: string): Promise<string> {
  const policy = await Policy.load(folder, { threads: 1 })
  try {
    const { trainTasks, tools } = createAtlas()
    const prompts = trainTasks.slice(0, 4).map(({ messages }) => policy.template.prompt(messages, tools))
    const tokens = Int32Array.from(prompts.flat())
    const { logprobs } = await policy.logprobs(tokens, Int32Array.of(0, tokens.length))
    const texts = Array.from({ length: policy.tokenizer.vocabSize }, (_, token) =>
      policy.tokenizer.decode([token]),
    )
    return JSON.stringify([[...tokens], [...logprobs], texts])
  } finally {
    await policy.close()
  }
}
