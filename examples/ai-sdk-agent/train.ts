// Trains the agent in agent.ts, unchanged, to leave out the calls it does not need.
//
//   npx tsx examples/ai-sdk-agent/train.ts
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
// In your own project: from 'hdpo'.
import { agentRollouts, createServer, reportedOutcome, type StepMetrics, Trainer } from '../../lib/index.js'
import { coldStart, describe, tasks } from '../shop/cold-start.js'
import { answer } from './agent.js'

export interface ExampleOptions {
  coldStartSteps?: number
  promptsPerStep?: number
  steps?: number
  output?: string
  tell?: (line: string) => void
}

export async function train({
  coldStartSteps = 200,
  promptsPerStep = 16,
  steps = 18,
  output,
  tell = console.log,
}: ExampleOptions = {}): Promise<StepMetrics[]> {
  const folder = output ?? (await mkdtemp(join(tmpdir(), 'hdpo-shop-')))
  const policy = await coldStart(folder, coldStartSteps, tell)
  const server = createServer({ policy })
  try {
    const { url } = await server.listen()
    tell(`the agent asks ${url}/v1`)
    const trainer = new Trainer({
      policy,
      tasks,
      tools: [],
      runGroup: agentRollouts({
        server,
        agent: async ({ task, baseURL, apiKey, signal }) => {
          const said = await answer(task.messages[0]?.content as string, { baseURL, apiKey, signal })
          return { correct: said === task.answer, answer: said }
        },
      }),
      reward: { answer: reportedOutcome() },
      algorithm: { name: 'hdpo', accuracyWeight: 1, efficiencyWeight: 0.15 },
      groupSize: 16,
      promptsPerStep,
      rollout: { maxTurnTokens: 32 },
      steps,
      optimizer: { learningRate: 5e-4 },
      output: join(folder, 'train'),
    })
    const metrics: StepMetrics[] = []
    for await (const step of trainer.run()) {
      metrics.push(step.metrics)
      tell(describe(step))
    }
    return metrics
  } finally {
    await server.close()
    await policy.close()
  }
}

if (import.meta.filename === process.argv[1]) await train()
