// The built-in task family: questions over a published data set of 250 countries and arithmetic, with a search engine and a
// calculator. Some questions this policy can answer by heart after the cold start, some need one call, some need several.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { ModelConfig } from '../../native.js'
import type { ChatTemplateSource } from '../../policy/chat-template.js'
import type { TokenizerFiles } from '../../policy/tokenizer.js'
import type { Task } from '../../rollout/types.js'
import { calculator } from '../../tools/calculator.js'
import type { Tool } from '../../tools/types.js'
import { type NoiseOptions, noisyRewards, type TaskRewards } from '../noisy-rewards.js'
import { Random } from '../random.js'
import { isRightAnswer } from './answer.js'
import {
  type ColdStartConversation,
  type ColdStartOptions,
  coldStartDefaults,
  createColdStart,
} from './cold-start.js'
import { type CurriculumQuestion, createCurriculum } from './curriculum.js'
import { atlasModel } from './model.js'
import { search } from './search.js'
import { atlasTemplate } from './template.js'

export interface AtlasOptions extends NoiseOptions {
  /** Decides what is taught, held out, asked and in which words. Default 0. */
  seed?: number
  /** Share of each kind of question that RL never sees. Default 0.25. */
  heldOutShare?: number
}

export interface Atlas extends TaskRewards {
  tools: Tool[]
  tokenizer: TokenizerFiles
  template: ChatTemplateSource
  model: ModelConfig
  trainTasks: Task[]
  heldOutTasks: Task[]
  /** Conversations for supervised training, in random order; meant for several passes. Runs the tools. */
  coldStart(options?: Partial<ColdStartOptions>): Promise<ColdStartConversation[]>
  isRightAnswer(given: string | undefined, task: Task): boolean
  /** One paragraph for people. */
  describe(): string
}

export function createAtlas({ seed = 0, heldOutShare = 0.25, answerNoise = 0 }: AtlasOptions = {}): Atlas {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new RangeError(`seed: must be a whole number from 0 to 2^53 - 1, got ${seed}`)
  }
  if (!(heldOutShare > 0 && heldOutShare < 1)) {
    throw new RangeError(`heldOutShare: must be between 0 and 1, both excluded, got ${heldOutShare}`)
  }
  const questions = createCurriculum(seed, heldOutShare)
  const tools = [search, calculator] as Tool[]
  const tokenizer = readTokenizer()
  const trainTasks = toTasks(questions, seed, 'training')
  const heldOutTasks = toTasks(questions, seed, 'held-out')
  return {
    tools,
    tokenizer,
    template: atlasTemplate,
    model: atlasModel(vocabSizeOf(tokenizer)),
    trainTasks,
    heldOutTasks,
    coldStart: (options) => createColdStart(questions, tools, seed, { ...coldStartDefaults, ...options }),
    isRightAnswer,
    ...noisyRewards(isRightAnswer, { answerNoise, seed }),
    describe: () => describe(questions, trainTasks.length, heldOutTasks.length),
  }
}

/** Each question once, in a wording that the seed picks. The metadata says nothing about what is taught. */
function toTasks(
  questions: readonly CurriculumQuestion[],
  seed: number,
  use: CurriculumQuestion['use'],
): Task[] {
  const random = new Random(seed, `${use} tasks`)
  return random.shuffle(questions.filter((question) => question.use === use)).map((question) => ({
    id: question.id,
    messages: [{ role: 'user', content: random.pick(question.phrasings) }],
    answer: question.answer,
    metadata: { family: question.family },
  }))
}

function describe(questions: readonly CurriculumQuestion[], training: number, heldOut: number): string {
  const asked = questions.filter((question) => question.use !== 'practice')
  const taught = asked.filter((question) => question.taught).length
  const several = asked.filter((question) => question.calls.length > 1).length
  return (
    `atlas: ${asked.length} questions on countries and arithmetic, with search and calculator; ${taught} of them are taught by ` +
    `heart in the cold start, ${several} take several calls; ${training} are for RL, ${heldOut} are held out of it.`
  )
}

function readTokenizer(): TokenizerFiles {
  const path = fileURLToPath(new URL('./tokenizer.json', import.meta.url))
  return {
    tokenizer: JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>,
    config: { eos_token: '<|im_end|>' },
  }
}

function vocabSizeOf({ tokenizer }: TokenizerFiles): number {
  const { model, added_tokens } = tokenizer as { model: { vocab: object }; added_tokens: unknown[] }
  return Object.keys(model.vocab).length + added_tokens.length
}
