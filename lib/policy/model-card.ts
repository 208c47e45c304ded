// README.md of a saved policy: what it is, what was trained, and what was measured before and after.
import type { LoraOptions } from '../native/types.js'

/** What a trainer knows of the training that a saved policy comes from. */
export interface TrainingRecord {
  /** E.g. 'hdpo', 'supervised'. */
  method: string
  steps: number
  /** Settings worth reading, by name. */
  settings?: Record<string, string | number | boolean>
  /** The same measurements before and after, by name. */
  before?: Record<string, number>
  after?: Record<string, number>
}

interface ModelCardFacts {
  modelType: string
  parameters: number
  dtype: string
  /** What it was loaded from, as the user named it; undefined where it began with random weights. */
  base?: string
  lora?: LoraOptions
  /** The weights are those of the adapter alone. */
  adapterOnly: boolean
  toolFormat: string
  training?: TrainingRecord
}

const signature = 'saved by [hdpo](https://www.npmjs.com/package/hdpo).'

/** Whether a README is a card that formatModelCard wrote. */
export function isModelCard(text: string): boolean {
  return text.includes(signature)
}

export function formatModelCard(facts: ModelCardFacts): string {
  const { base, lora, training, adapterOnly } = facts
  const origin = base === undefined ? 'a model with random initial weights' : `\`${base}\``
  const kind = adapterOnly
    ? `A LoRA adapter for ${origin}`
    : `A ${facts.modelType} model that began as ${origin}`
  const lines = [
    '---',
    `library_name: ${adapterOnly ? 'peft' : 'transformers'}`,
    'pipeline_tag: text-generation',
    'tags:',
    '- hdpo',
    '- tool-calling',
    '---',
    '',
    `${kind}, ${signature}`,
    '',
    '| | |',
    '|---|---|',
    `| Parameters | ${facts.parameters.toLocaleString('en')} |`,
    `| Weights | ${facts.dtype} |`,
    `| Calls | ${facts.toolFormat} format |`,
    ...(lora ? [`| LoRA | ${describeLora(lora)}${adapterOnly ? '' : ', merged'} |`] : []),
    '',
    ...(training ? trainingLines(training) : ['No training is recorded.', '']),
  ]
  return lines.join('\n')
}

function describeLora({ rank, alpha, targetModules, rankStabilized }: LoraOptions): string {
  const stabilized = rankStabilized ? ', rank-stabilised' : ''
  return `rank ${rank}, alpha ${alpha}${stabilized}, on ${targetModules.join(', ')}`
}

function trainingLines({ method, steps, settings = {}, before, after }: TrainingRecord): string[] {
  const settingLines = Object.entries(settings).map(([name, value]) => `- ${name}: ${value}`)
  return [
    '## Training',
    '',
    `${steps.toLocaleString('en')} steps of ${method}.`,
    '',
    ...settingLines,
    ...(settingLines.length > 0 ? [''] : []),
    ...(after ? measurementLines(before, after) : ['Nothing was measured on held-out tasks.', '']),
  ]
}

function measurementLines(before: Record<string, number> = {}, after: Record<string, number>): string[] {
  const show = (value: number | undefined) =>
    value === undefined ? 'not measured' : String(Number(value.toFixed(4)))
  return [
    '| Measured | before | after |',
    '|---|---|---|',
    ...Object.keys(after).map((name) => `| ${name} | ${show(before[name])} | ${show(after[name])} |`),
    '',
  ]
}
