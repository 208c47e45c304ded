// What the examples share besides the shop: a policy to begin with, and a line about each step.
import { join } from 'node:path'
// In your own project: from 'hdpo/families' and 'hdpo'.
import { createAtlas } from '../../lib/families.js'
import { type Message, Policy, SupervisedTrainer, type Task, type TrainerStep } from '../../lib/index.js'
import { questions, type ShopQuestion } from './shop.js'

export const tasks: Task[] = questions.map(({ id, question, answer, taught }) => ({
  id,
  messages: [{ role: 'user', content: question }],
  answer,
  metadata: { taught },
}))

/** A small model that has seen the shop's tools used, on nearly every question, and learnt half of the answers by
 * heart. The tokenizer and the template are those of the quickstart. */
export async function coldStart(
  folder: string,
  steps: number,
  tell: (line: string) => void,
): Promise<Policy> {
  const { tokenizer, template, model } = createAtlas()
  const policy = await Policy.create({
    tokenizer,
    template,
    config: { ...model, layers: 2, hiddenSize: 96, heads: 4, kvHeads: 2, headDim: 24, intermediateSize: 256 },
  })
  // 20 of each question. Where it knows the answer, the model leaves out the call in 3 of them.
  const conversations = questions.flatMap((question) =>
    Array.from({ length: 20 }, (_, copy) => {
      const knows = question.taught && copy < 3
      return { messages: [ask(question), ...(knows ? [] : lookUp(question)), say(question.answer)] }
    }),
  )
  const trainer = new SupervisedTrainer({
    policy,
    conversations,
    tools: [],
    steps,
    tokensPerStep: 2048,
    optimizer: { learningRate: 3e-3, schedule: 'cosine', warmupSteps: 10 },
    output: join(folder, 'cold-start'),
  })
  for await (const { step, metrics } of trainer.run()) {
    if (step % 50 === 0 || step === steps)
      tell(`cold start ${step}/${steps}  loss ${metrics.loss.toFixed(3)}`)
  }
  return policy
}

const ask = ({ question }: ShopQuestion): Message => ({ role: 'user', content: question })
const say = (answer: string): Message => ({ role: 'assistant', content: `<answer>${answer}</answer>` })
const lookUp = ({ tool, item, answer }: ShopQuestion): Message[] => [
  { role: 'assistant', content: '', toolCalls: [{ name: tool, arguments: { item } }] },
  { role: 'tool', content: answer },
]

export function describe({ step, metrics, groups }: TrainerStep): string {
  const rollouts = groups.flat()
  const callShare = (taught: boolean) => {
    const asked = rollouts.filter(({ metadata }) => metadata?.taught === taught)
    return percent(asked.filter(({ toolCalls }) => toolCalls.length > 0).length / asked.length)
  }
  return [
    `step ${step}`,
    `accuracy ${percent(metrics.accuracy)}`,
    `calls where the answer is known ${callShare(true)}, where not ${callShare(false)}`,
    `segments ${metrics.segments} of ${metrics.rollouts} rollouts`,
    `${metrics.seconds.rollout.toFixed(1)} s`,
  ].join('  ')
}

function percent(share: number): string {
  return Number.isNaN(share) ? 'none' : `${Math.round(100 * share)}%`
}
