// Tasks, a tool and a reward for the scripted policy: the answer is always 42, and the tool knows it.

import type { RewardOptions } from '../../lib/rewards/rewards.js'
import type { Task } from '../../lib/rollout/types.js'
import type { Tool } from '../../lib/tools/types.js'
import type { TrainerOptions } from '../../lib/trainer/trainer-options.js'

export const lookup: Tool = {
  name: 'lookup',
  description: 'Looks the answer up',
  parameters: { type: 'object', properties: {} },
  validate: (input) => input,
  run: () => '42',
}

export const rightIf42: RewardOptions = { answer: ({ finalAnswer }) => finalAnswer === '42' }

export function tasks(count: number): Task[] {
  return Array.from({ length: count }, (_, index) => ({
    id: `task-${index}`,
    messages: [{ role: 'user', content: `question ${index}` }],
    answer: 42,
  }))
}

/** Three steps of two groups of four, over six tasks with the lookup. */
export const smallTraining = {
  tasks: tasks(6),
  tools: [lookup],
  algorithm: { name: 'hdpo' },
  groupSize: 4,
  promptsPerStep: 2,
  steps: 3,
  optimizer: { learningRate: 0.001 },
} satisfies Partial<TrainerOptions>
