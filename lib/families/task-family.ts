// A built-in task family: questions with their uses, tools, and the small policy that is trained on them from nothing.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { seed } from '../core/option-kinds.js'
import { readOptions } from '../core/options.js'
import { Random } from '../core/random.js'
import type { ModelConfig } from '../native/types.js'
import type { ChatTemplateSource } from '../policy/chat-template.js'
import type { TokenizerFiles } from '../policy/tokenizer.js'
import type { Task } from '../rollout/types.js'
import type { Tool } from '../tools/types.js'
import { isRightAnswer } from './answer.js'
import { taskTemplate } from './chat-template.js'
import {
  type ColdStartConversation,
  type ColdStartOptions,
  coldStartOptions,
  createColdStart,
  type ResolvedColdStart,
} from './cold-start.js'
import { noiseShape, noisyRewards, type TaskRewards } from './noisy-rewards.js'
import type { CurriculumQuestion } from './question.js'

export interface TaskFamily extends TaskRewards {
  name: string
  tools: Tool[]
  tokenizer: TokenizerFiles
  template: ChatTemplateSource
  model: ModelConfig
  trainTasks: Task[]
  heldOutTasks: Task[]
  /** Conversations for supervised training, in random order; meant for several passes. Runs the tools. */
  coldStart(options?: ColdStartOptions): Promise<ColdStartConversation[]>
  isRightAnswer(given: string | undefined, task: Task): boolean
  /** Describes the family in one paragraph. */
  describe(): string
}

interface TaskFamilyDefinition {
  name: string
  /** The questions' subject and tools, e.g. 'on countries and arithmetic, with search and calculator'. */
  about: string
  questions: readonly CurriculumQuestion[]
  tools: Tool[]
  /** Where its tokenizer.json is. */
  tokenizer: URL
  model(vocabSize: number): ModelConfig
  coldStart: ResolvedColdStart
  seed: number
  answerNoise: number
}

export function createTaskFamily(definition: TaskFamilyDefinition): TaskFamily {
  const { name, questions, tools, seed, answerNoise } = definition
  const tokenizer = readTokenizer(definition.tokenizer)
  const trainTasks = toTasks(questions, seed, 'training')
  const heldOutTasks = toTasks(questions, seed, 'held-out')
  return {
    name,
    tools,
    tokenizer,
    template: taskTemplate,
    model: definition.model(vocabSizeOf(tokenizer)),
    trainTasks,
    heldOutTasks,
    coldStart: async (options = {}) => {
      const given = readOptions(coldStartOptions, options, 'coldStart')
      return createColdStart(questions, tools, seed, { ...definition.coldStart, ...given })
    },
    isRightAnswer,
    ...noisyRewards(isRightAnswer, { answerNoise, seed }),
    describe: () => describe(definition, trainTasks.length, heldOutTasks.length),
  }
}

/** What every family's create function takes. */
export const familyShape = {
  /** Decides what is taught, held out and asked, and in which words. Default 0. */
  seed: seed.default(0),
  /** Share of each kind of question that RL never sees. Default 0.25. */
  heldOutShare: z.number().gt(0).lt(1).default(0.25),
  ...noiseShape,
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

function describe(
  { name, about, questions }: TaskFamilyDefinition,
  training: number,
  heldOut: number,
): string {
  const asked = questions.filter((question) => question.use !== 'practice')
  const taught = asked.filter((question) => question.taught).length
  const several = asked.filter((question) => question.calls.length > 1).length
  return (
    `${name}: ${asked.length} questions ${about}; ${taught} of them are taught by ` +
    `heart in the cold start, ${several} take several calls; ${training} are for RL, ${heldOut} are held out of it.`
  )
}

function readTokenizer(url: URL): TokenizerFiles {
  return {
    tokenizer: JSON.parse(readFileSync(fileURLToPath(url), 'utf8')) as Record<string, unknown>,
    config: { eos_token: '<|im_end|>' },
  }
}

function vocabSizeOf({ tokenizer }: TokenizerFiles): number {
  const { model, added_tokens } = tokenizer as { model: { vocab: object }; added_tokens: unknown[] }
  return Object.keys(model.vocab).length + added_tokens.length
}
