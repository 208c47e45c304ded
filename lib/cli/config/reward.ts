// The answer reward that a config names, with the options that belong to it.
import { resolve } from 'node:path'
import { HdpoError } from '../../core/errors.js'
import type { JudgeOptions } from '../../rewards/judge/options.js'
import {
  type AnswerReward,
  contains,
  exactMatch,
  jsonSchemaMatch,
  llmJudge,
  numericMatch,
  type RewardOptions,
  regexMatch,
} from '../../rewards/rewards.js'
import { importDefault } from './config.js'
import { type AnswerRule, isAnswerRule, type JudgeConfig, type RewardConfig } from './data-schema.js'

type RuleOptions = Omit<RewardConfig, 'answer' | 'answerWeight' | 'formatWeight'>

const optionsOf: Record<AnswerRule, readonly (keyof RuleOptions)[]> = {
  'exact-match': [],
  contains: [],
  'numeric-match': ['relativeTolerance', 'absoluteTolerance'],
  'regex-match': ['pattern', 'whole'],
  'json-schema-match': ['schema', 'equal'],
  'llm-judge': ['judge'],
}

/** Without `answer` only the weights: the environment then grades answers. */
export async function resolveReward(
  reward: RewardConfig | undefined,
  folder: string,
): Promise<Partial<RewardOptions>> {
  if (!reward) return {}
  const { answer, answerWeight, formatWeight, ...options } = reward
  refuseOthers(answer, options)
  return {
    ...(answerWeight !== undefined && { answerWeight }),
    ...(formatWeight !== undefined && { formatWeight }),
    ...(answer !== undefined && { answer: await answerReward(answer, options, folder) }),
  }
}

async function answerReward(
  answer: NonNullable<RewardConfig['answer']>,
  { relativeTolerance, absoluteTolerance, pattern, whole, schema, equal, judge }: RuleOptions,
  folder: string,
): Promise<AnswerReward> {
  switch (answer) {
    case 'exact-match':
      return exactMatch()
    case 'contains':
      return contains()
    case 'numeric-match':
      return numericMatch(given({ relativeTolerance, absoluteTolerance }))
    case 'regex-match':
      return regexMatch(given({ pattern, whole }))
    case 'json-schema-match':
      return jsonSchemaMatch(given({ schema, equal }))
    case 'llm-judge': {
      if (!judge)
        throw new HdpoError('ERR_CONFIG', 'reward.judge must be given with llm-judge: { baseURL, model }')
      const { rubric } = judge
      return llmJudge({ ...judgeOptions(judge, folder), ...given({ rubric }) })
    }
    default:
      return typeof answer === 'function' ? answer : moduleReward(answer, folder)
  }
}

export function judgeOptions(
  { rubric: _, cacheFolder, ...options }: JudgeConfig,
  folder: string,
): JudgeOptions {
  return { ...options, ...(cacheFolder !== undefined && { cache: { folder: resolve(folder, cacheFolder) } }) }
}

async function moduleReward(path: string, folder: string): Promise<AnswerReward> {
  const exported = await importDefault(resolve(folder, path))
  if (typeof exported === 'function') return exported as AnswerReward
  throw new HdpoError(
    'ERR_CONFIG',
    `reward.answer: the default export of ${path} must be a function, got ${typeof exported}`,
  )
}

/** Refuses options that the chosen rule does not read: the user meant something else. */
function refuseOthers(answer: RewardConfig['answer'], options: RuleOptions): void {
  const allowed = typeof answer === 'string' && isAnswerRule(answer) ? optionsOf[answer] : []
  const other = (Object.keys(options) as (keyof RuleOptions)[]).find((key) => !allowed.includes(key))
  if (other === undefined) return
  const owner = Object.entries(optionsOf).find(([, keys]) => keys.includes(other))?.[0]
  throw new HdpoError(
    'ERR_CONFIG',
    `reward.${other} belongs to answer: ${owner}, got answer: ${String(answer ?? 'none')}`,
  )
}

type Given<Options> = { [Key in keyof Options]?: Exclude<Options[Key], undefined> }

function given<Options extends object>(options: Options): Given<Options> {
  return Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  ) as Given<Options>
}
