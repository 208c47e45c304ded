// A small training run in a process of its own, for the campaign to disturb: npx tsx test/faults/small-run.ts '{"kind": ...}'. It
// writes a JSON line for every phase that it enters, and a last one that says how it ended, synchronously: what is written is out
// before a kill.
import { writeSync } from 'node:fs'
import { join } from 'node:path'
import { HdpoError } from '../../lib/core/errors.js'
import { describeSystemError } from '../../lib/core/system-error.js'
import { createAtlas } from '../../lib/families/atlas/atlas.js'
import { Policy } from '../../lib/policy/policy.js'
import { BackgroundIndex } from '../../lib/run/store/background-index.js'
import { SupervisedTrainer } from '../../lib/trainer/supervised-trainer.js'
import { Trainer } from '../../lib/trainer/trainer.js'
import type { RunMessage, SmallRun } from './small-run-message.js'

const tell = (message: RunMessage): void => {
  writeSync(1, `${JSON.stringify(message)}\n`)
}

const onWarning = (warning: string) => tell({ warning })
const optimizer = { learningRate: 1e-3 }

// Errors that nothing caught come here too: what they end is no refusal.
process.on('uncaughtException', (error) => {
  tell({ ended: 'failed', message: `not caught: ${error.stack ?? error.message}` })
  process.exit(1)
})

try {
  await play(JSON.parse(process.argv[2] as string) as SmallRun)
  tell({ ended: 'finished' })
} catch (error) {
  tell(describe(error))
  process.exitCode = 1
}

function describe(error: unknown): RunMessage {
  if (!(error instanceof Error)) return { ended: 'failed', message: String(error) }
  if (error instanceof HdpoError && error.code !== 'ERR_INTERNAL')
    return { ended: 'refused', code: error.code, message: error.message }
  const { code = '', path } = error as NodeJS.ErrnoException
  const system = describeSystemError(error)
  // A full disk without the name of the file would leave the user to guess which of their disks it is.
  if (system !== undefined && path !== undefined) return { ended: 'refused', code, message: system }
  return { ended: 'failed', message: error.stack ?? error.message }
}

async function play({ kind, start, output, resume }: SmallRun): Promise<void> {
  tell({ phase: 'load' })
  const policy = await Policy.load(start, { threads: 1, ...(kind === 'adapter' && { lora: { rank: 4 } }) })
  announceCheckpoints(policy)
  // Without the wait that spares a long run: this one would be over before its index began.
  const index = new BackgroundIndex(output, (warning) => tell({ warning }), 0)
  try {
    tell({ phase: 'run' })
    const trainer = kind === 'supervised' ? await supervised(policy, output) : reinforced(policy, output)
    for await (const _ of trainer.run({ resume })) {
      tell({ phase: 'index' })
      index.update()
    }
    tell({ phase: 'save' })
    await policy.save(join(output, 'policy'))
    tell({ phase: 'close' })
  } finally {
    await index.close()
    await policy.close()
  }
}

function announceCheckpoints(policy: Policy): void {
  const saveCheckpoint = policy.saveCheckpoint.bind(policy)
  policy.saveCheckpoint = (folder) => {
    tell({ phase: 'checkpoint' })
    return saveCheckpoint(folder)
  }
}

/** With a noisy reward, so that every group has something to learn from. */
function reinforced(policy: Policy, output: string): Trainer {
  const { trainTasks, heldOutTasks, tools, reward, evaluationReward } = createAtlas({ answerNoise: 0.3 })
  return new Trainer({
    policy,
    tasks: trainTasks.slice(0, 12),
    tools,
    reward,
    algorithm: { name: 'hdpo' },
    groupSize: 4,
    promptsPerStep: 2,
    steps: 6,
    rollout: { maxTurns: 3, maxTurnTokens: 24, temperature: 1.5 },
    optimizer,
    klCoefficient: 0.01,
    checkpointEvery: 2,
    keepCheckpoints: 3,
    evaluate: {
      tasks: heldOutTasks.slice(0, 3),
      every: 3,
      reward: {
        answer: (rollout, task) => {
          tell({ phase: 'evaluate' })
          return evaluationReward.answer(rollout, task)
        },
      },
    },
    output,
    index: false,
    onWarning,
  })
}

async function supervised(policy: Policy, output: string): Promise<SupervisedTrainer> {
  const { tools, coldStart } = createAtlas()
  return new SupervisedTrainer({
    policy,
    conversations: (await coldStart()).slice(0, 40),
    tools,
    steps: 8,
    tokensPerStep: 256,
    optimizer,
    checkpointEvery: 2,
    keepCheckpoints: 3,
    output,
    index: false,
    onWarning,
  })
}
