// hdpo inspect: what a model folder is, and what training it takes on this machine.
import { freemem, totalmem } from 'node:os'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { describePolicyFolder, type PolicyDescription } from '../../policy/inspect.js'
import { resolveLora } from '../../policy/lora-options.js'
import { estimateMemory, type MemoryEstimate, type MemoryQuestion } from '../../policy/memory-estimate.js'
import { examples } from '../terminal/examples.js'
import { wholeNumber } from '../terminal/flags.js'
import { formatTable } from '../terminal/table.js'

interface InspectFlags {
  base?: string
  rank: number
  microBatchTokens: number
  json?: boolean
}

interface TrainingChoice {
  name: string
  memory: MemoryEstimate
  /** 'yes': it fits into the memory that is free now; 'if memory is freed': into the memory of the machine. */
  fits: 'yes' | 'if memory is freed' | 'no'
}

export function addInspectCommand(program: Command): void {
  program
    .command('inspect')
    .description('what a model folder is, and the memory that each way of training it takes')
    .argument('<folder>', 'a model as downloaded, a saved policy, or a LoRA adapter')
    .option('--base <folder>', "an adapter's base model, if not where the adapter says")
    .option('--rank <number>', 'LoRA rank for the estimate', wholeNumber(1), 32)
    .option('--micro-batch-tokens <number>', 'tokens per micro-batch for the estimate', wholeNumber(1), 2048)
    .option('--json', 'print JSON')
    .addHelpText('after', examples('hdpo inspect ./Qwen3-0.6B', 'hdpo inspect runs/manual/policy --json'))
    .action(async (folder: string, flags: InspectFlags) => {
      const description = await describePolicyFolder(resolve(folder), {
        ...(flags.base !== undefined && { base: resolve(flags.base) }),
      })
      const choices = trainingChoices(description, flags, { free: freemem(), total: totalmem() })
      console.log(
        flags.json
          ? JSON.stringify({ ...description, training: choices }, null, 2)
          : `${formatDescription(description)}\n\n${formatChoices(choices)}`,
      )
    })
}

export function trainingChoices(
  { config, adapter }: PolicyDescription,
  { rank, microBatchTokens }: Pick<InspectFlags, 'rank' | 'microBatchTokens'>,
  memory: { free: number; total: number },
): TrainingChoice[] {
  const lora = adapter ?? resolveLora({ rank })
  const choice = (name: string, question: Omit<MemoryQuestion, 'config'>): TrainingChoice => {
    const estimate = estimateMemory({ config, microBatchTokens, ...question })
    const fits =
      estimate.total <= memory.free ? 'yes' : estimate.total <= memory.total ? 'if memory is freed' : 'no'
    return { name, memory: estimate, fits }
  }
  return [
    choice('full, float32', { precision: 'float32', trainable: true }),
    choice('full, bfloat16', { precision: 'bfloat16', trainable: true }),
    choice('full, bfloat16, recompute', { precision: 'bfloat16', trainable: true, recompute: true }),
    choice(`LoRA ${lora.rank}, float32`, { precision: 'float32', trainable: true, lora }),
    choice(`LoRA ${lora.rank}, bfloat16`, { precision: 'bfloat16', trainable: true, lora }),
    choice(`LoRA ${lora.rank}, bfloat16, recompute`, {
      precision: 'bfloat16',
      trainable: true,
      lora,
      recompute: true,
    }),
    choice('no training, bfloat16', { precision: 'bfloat16', trainable: false }),
  ]
}

export function formatDescription(description: PolicyDescription): string {
  const { config, adapter, storedAs, endTokens } = description
  const stored = Object.entries(storedAs)
    .map(([dtype, count]) =>
      Object.keys(storedAs).length === 1 ? dtype : `${dtype} (${count.toLocaleString('en')})`,
    )
    .join(', ')
  const files = description.weightFiles === 1 ? 'one file' : `${description.weightFiles} files`
  const facts: [string, string][] = [
    ['Folder', description.path],
    ...(adapter
      ? [
          [
            'Adapter',
            `LoRA, rank ${adapter.rank}, alpha ${adapter.alpha}, on ${adapter.targetModules.join(', ')}; base ${adapter.base}`,
          ] as [string, string],
        ]
      : []),
    [
      'Architecture',
      `${description.architecture}, ${config.layers} layers of ${config.hiddenSize}, ${config.heads} heads (${config.kvHeads} for keys and values)`,
    ],
    [
      'Parameters',
      `${description.parameters.toLocaleString('en')}${config.tieEmbeddings ? ', head tied to the embedding' : ''}`,
    ],
    ['Weights', `${stored}, ${gigabytes(description.weightBytes)} in ${files}`],
    [
      'Context',
      `${config.maxPositions.toLocaleString('en')} tokens${config.ropeScaling ? ", with Llama 3's rope scaling" : ''}`,
    ],
    [
      'Vocabulary',
      `${description.tokenizerTokens.toLocaleString('en')} tokens, ${config.vocabSize.toLocaleString('en')} rows in the embedding`,
    ],
    ['A turn ends with', endTokens.join(' or ')],
    ['Tools', describeTools(description)],
    ...(description.thinkingSwitch
      ? [['Thinking', 'templateVariables: { enable_thinking: false } turns it off'] as [string, string]]
      : []),
  ]
  return facts.map(([name, value]) => `${name.padEnd(16)}  ${value}`).join('\n')
}

function describeTools({ toolFormat, writesCalls, readsTools }: PolicyDescription): string {
  if (writesCalls && readsTools) return `calls in ${toolFormat} format`
  const missing = readsTools
    ? 'writes calls in no format that hdpo reads'
    : 'does not show tools to the model'
  return `the chat template ${missing}; calls are read in ${toolFormat} format, which training has to teach`
}

export function formatChoices(choices: readonly TrainingChoice[]): string {
  const rows = choices.map(({ name, memory, fits }) => [
    name,
    ...[
      memory.weights,
      memory.training,
      memory.activations,
      memory.generationWeights + memory.kvCache + memory.generationWorkspace,
      memory.total,
    ].map(gigabytes),
    fits,
  ])
  const header = ['Way of training', 'weights', 'optimiser', 'activations', 'rollouts', 'total', 'fits here']
  return formatTable(header, rows)
}

function gigabytes(bytes: number): string {
  return bytes < 1e8 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`
}
