// Writes run folders like those that a trainer leaves, without a trainer.
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { RecordedRollout } from '../../../lib/run/store/rollout-record.js'

/** Rollout 0 is right without a call, rollout 1 wrong with one. */
export function recordedRollout(
  prompt: number,
  rollout: number,
  changes: Partial<RecordedRollout> = {},
): RecordedRollout {
  const right = rollout === 0
  return {
    prompt,
    rollout,
    id: `task-${prompt}#${rollout}`,
    taskId: `task-${prompt}`,
    tokens: [5, 6, 7, 300],
    mask: [0, 0, 1, 1],
    logprobs: [0, 0, -0.5, -1],
    messages: [
      { role: 'system', content: 'Answer.' },
      { role: 'user', content: `Question ${prompt}: the capital of Grönland?` },
      right
        ? { role: 'assistant', content: '<answer>Nuuk</answer>' }
        : {
            role: 'assistant',
            content: '',
            toolCalls: [{ name: 'search', arguments: { query: 'capital Grönland' } }],
          },
      ...(right
        ? []
        : ([
            { role: 'tool', name: 'search', content: 'No results.' },
            { role: 'assistant', content: '<answer>no</answer>' },
          ] as const)),
    ],
    toolCalls: right
      ? []
      : [
          {
            name: 'search',
            arguments: { query: 'capital Grönland' },
            outcome: 'ok',
            observation: 'No results.',
            milliseconds: 2,
          },
        ],
    turns: right ? 1 : 2,
    end: 'answer',
    finalAnswer: right ? 'Nuuk' : 'no',
    wellFormed: true,
    answerReward: right ? 1 : 0,
    formatReward: 1,
    accuracyReward: right ? 1 : 0.1,
    accuracyAdvantage: right ? 0.7 : -0.7,
    efficiencyAdvantage: 0,
    ...changes,
  }
}

export async function writeStep(
  folder: string,
  step: number,
  rollouts: object[] = [0, 1].flatMap((prompt) => [0, 1].map((rollout) => recordedRollout(prompt, rollout))),
): Promise<void> {
  const name = `step-${String(step).padStart(6, '0')}.jsonl`
  await writeFile(
    join(folder, 'rollouts', name),
    rollouts.map((rollout) => `${JSON.stringify(rollout)}\n`).join(''),
  )
}

/** `steps` steps of two groups of two rollouts, with an accuracy of a tenth of the step. */
export async function writeRun(folder: string, steps: number): Promise<void> {
  await mkdir(join(folder, 'rollouts'), { recursive: true })
  const numbers = Array.from({ length: steps }, (_, index) => index + 1)
  const lines = numbers.map((step) => ({
    step,
    accuracy: step / 10,
    callsPerRollout: 0.5,
    skipped: false,
    seconds: { train: 1.5 },
  }))
  await writeFile(join(folder, 'metrics.jsonl'), lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
  for (const step of numbers) await writeStep(folder, step)
}
