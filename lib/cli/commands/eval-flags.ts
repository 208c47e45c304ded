// The flags of hdpo eval.

import { type Command, InvalidArgumentError, Option } from 'commander'
import { jsonProblem, parseJson } from '../../core/exact-json.js'
import { isRecord } from '../../core/is-record.js'
import type { Device } from '../../native/types.js'
import { type AnswerRule, answerRules } from '../config/data-schema.js'
import { examples } from '../terminal/examples.js'
import { columnPair, deviceOption, positiveNumber, wholeNumber } from '../terminal/flags.js'

export interface EvalFlags {
  endpoint?: string
  model?: string
  keyVariable: string
  body?: Record<string, unknown>
  agent?: string
  system?: string
  concurrency: number
  timeout: number
  retries: number
  prices?: { prompt: number; completion: number }
  environment?: string
  tasks?: string
  columns?: Record<string, string>
  tools?: string[]
  answer?: AnswerRule
  judge?: string
  judgeModel?: string
  judgeKeyVariable?: string
  rubric?: string
  samples: number
  known?: boolean
  knownFrom?: string
  limit?: number
  maxTurns?: number
  temperature?: number
  toolChoice?: 'auto' | 'none' | 'required'
  seed: number
  threads?: number
  device: Device
  json?: boolean
  output?: string
  rollouts?: string
}

export function describeEvalCommand(command: Command): Command {
  addTargetOptions(command)
  addTaskOptions(command)
  return command
    .option('--samples <number>', 'rollouts per task', wholeNumber(1), 1)
    .option('--known', 'first ask 8 times without tools, then tell redundant calls from needed ones')
    .option('--known-from <file>', 'take what is known without tools from an earlier --output')
    .option('--limit <number>', 'ask only the first tasks', wholeNumber(1))
    .option('--max-turns <number>', 'most assistant turns per rollout (default: 10)', wholeNumber(1))
    .option(
      '--temperature <number>',
      "default: 1 for a policy, the endpoint's own for an endpoint",
      positiveNumber,
    )
    .addOption(new Option('--tool-choice <choice>', 'default: auto').choices(['auto', 'none', 'required']))
    .option('--seed <number>', 'seed of sampling and of the environment', wholeNumber(0), 0)
    .option('--rollouts <file>', 'write every rollout as JSONL')
    .option('--output <file>', 'write all measures as JSON')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      examples(
        'hdpo eval runs/quickstart/hdpo/policy --environment atlas --known --samples 4',
        'hdpo eval --endpoint https://api.openai.com/v1 --model gpt-5-mini --tasks questions.jsonl --tools search.ts --known',
        'hdpo eval --agent my-agent.ts --tasks questions.jsonl --known --output before.json',
        'hdpo eval ./my-agent --tasks test.parquet --columns question=prompt answer=gold --known-from before.json',
      ),
    )
}

function addTargetOptions(command: Command): void {
  command
    .argument('[policy]', 'policy folder')
    .option('--threads <number>', 'CPU threads of a policy (default: all)', wholeNumber(1))
    .addOption(deviceOption())
    .option('--endpoint <url>', 'instead of a policy: an OpenAI-compatible API, tools are run here')
    .option('--model <name>', 'model of the endpoint')
    .option('--key-variable <name>', "environment variable with the endpoint's key", 'OPENAI_API_KEY')
    .option('--body <json>', 'further fields of every request to the endpoint', jsonObject)
    .option('--agent <module>', 'instead of a policy: a function that asks your agent, with its own tools')
    .option('--system <text>', 'system message before every question of an endpoint')
    .option('--concurrency <number>', 'rollouts of an endpoint or agent at once', wholeNumber(1), 8)
    .option('--timeout <seconds>', 'longest wait for the endpoint per request', positiveNumber, 120)
    .option('--retries <number>', 'how often a failed request is repeated', wholeNumber(0), 4)
    .option('--prices <prompt,completion>', 'price per million tokens, e.g. 0.25,2', tokenPrices)
}

function addTaskOptions(command: Command): void {
  command
    .option('--environment <name>', 'a built-in one, or a module; its held-out tasks are asked')
    .option('--tasks <file>', 'JSONL or Parquet, instead of an environment')
    .option('--columns <pairs...>', 'of the tasks file: question=prompt answer=gold', columnPair)
    .option('--tools <names...>', 'built-in tools and modules')
    .addOption(new Option('--answer <rule>', 'how answers are compared').choices(answerRules))
    .option('--judge <url>', 'with --answer llm-judge: an OpenAI-compatible API that grades')
    .option('--judge-model <name>', 'model of the judge')
    .option('--judge-key-variable <name>', "environment variable with the judge's key")
    .option('--rubric <text>', 'what the judge calls a right answer')
}

function jsonObject(text: string): Record<string, unknown> {
  let value: unknown
  try {
    value = parseJson(text)
  } catch (error) {
    throw new InvalidArgumentError(`It must be JSON: ${jsonProblem(error)}.`)
  }
  if (isRecord(value)) return value
  throw new InvalidArgumentError('It must be a JSON object.')
}

function tokenPrices(text: string): { prompt: number; completion: number } {
  const prices = text.split(',').map((part) => (part.trim() === '' ? Number.NaN : Number(part)))
  const [prompt, completion] = prices
  if (prices.length === 2 && prices.every((price) => price >= 0 && Number.isFinite(price))) {
    return { prompt: prompt as number, completion: completion as number }
  }
  throw new InvalidArgumentError(
    'It must be two numbers: the price of a million prompt tokens, and of completion tokens.',
  )
}
