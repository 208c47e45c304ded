// Trains a policy on the tools of an MCP server, so that it leaves out the calls it does not need.
//
//   npx tsx examples/mcp-tools/train.ts
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
// In your own project: from 'hdpo'.
import { connectMcp, exactMatch, type StepMetrics, Trainer } from '../../lib/index.js'
import { coldStart, describe, tasks } from '../shop/cold-start.js'

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
  const folder = output ?? (await mkdtemp(join(tmpdir(), 'hdpo-mcp-')))
  const policy = await coldStart(folder, coldStartSteps, tell)
  // Any MCP server: a program as here, or { url } of one that speaks streamable HTTP.
  const mcp = await connectMcp({
    command: process.execPath,
    args: ['--import', 'tsx', join(import.meta.dirname, 'server.ts')],
  })
  try {
    tell(`tools of the MCP server: ${mcp.tools.map(({ name }) => name).join(', ')}`)
    const trainer = new Trainer({
      policy,
      tasks,
      tools: mcp.tools,
      reward: { answer: exactMatch() },
      algorithm: { name: 'hdpo', accuracyWeight: 1, efficiencyWeight: 0.15 },
      groupSize: 16,
      promptsPerStep,
      rollout: { maxTurns: 3, maxTurnTokens: 32 },
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
    await mcp.close()
    await policy.close()
  }
}

if (import.meta.filename === process.argv[1]) await train()
