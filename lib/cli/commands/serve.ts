// hdpo serve: the policy behind OpenAI's chat completions API.
import { basename, resolve } from 'node:path'
import type { Command } from 'commander'
import { whileHeld } from '../../core/folder-lock.js'
import type { Device } from '../../native/types.js'
import { Policy } from '../../policy/policy.js'
import type { RolloutPolicy } from '../../policy/types.js'
import { type AgentServer, createServer } from '../../server/create-server.js'
import { RolloutLog } from '../../server/rollout-log.js'
import { policyOptions } from '../config/policy-options.js'
import { examples } from '../terminal/examples.js'
import { deviceOption, port, positiveNumber, wholeNumber } from '../terminal/flags.js'
import { interrupted } from '../terminal/interrupt.js'

export interface ServeFlags {
  host: string
  port: number
  token?: string
  name?: string
  alias?: string[]
  temperature: number
  maxBody: number
  idleTimeout: number
  output?: string
  threads?: number
  device?: Device
  kvBudget?: number
}

export function addServeCommand(program: Command): void {
  program
    .command('serve')
    .description("serve a policy over OpenAI's chat completions API and record rollouts")
    .argument('<policy>', 'policy folder')
    .option('--host <address>', 'address to listen on; any but loopback needs a token', '127.0.0.1')
    .option('--port <number>', 'port; 0 takes any free one', port, 8000)
    .option('--token <secret>', 'API key that requests need (better in the environment: HDPO_TOKEN)')
    .option('--name <model>', "what requests call it (default: the folder's name)")
    .option('--alias <models...>', 'other names that requests may use')
    .option('--temperature <number>', 'temperature of requests that give none', positiveNumber, 1)
    .option('--max-body <MiB>', 'largest body of a request', positiveNumber, 4)
    .option(
      '--idle-timeout <seconds>',
      'give a rollout up after so long without a request',
      positiveNumber,
      600,
    )
    .option('--output <folder>', 'append rollouts to rollouts.jsonl there')
    .option('--threads <number>', 'CPU threads (default: all)', wholeNumber(1))
    .addOption(deviceOption())
    .option('--kv-budget <MiB>', 'memory for the KV cache', positiveNumber)
    .addHelpText(
      'after',
      examples(
        'hdpo serve runs/quickstart/hdpo/policy',
        'hdpo serve my-agent --alias gpt-4o-mini --output runs/served',
        'HDPO_TOKEN=... hdpo serve my-agent --host 0.0.0.0',
      ),
    )
    .action(runServe)
}

async function runServe(folder: string, flags: ServeFlags): Promise<void> {
  const serve = () => serveUntilInterrupted(folder, flags)
  // Two servers that append to one file would remove each other's half-written lines as those of a crash.
  await (flags.output === undefined ? serve() : whileHeld(resolve(flags.output), serve))
}

async function serveUntilInterrupted(folder: string, flags: ServeFlags): Promise<void> {
  const policy = await Policy.load(resolve(folder), {
    ...policyOptions({ threads: flags.threads, kvBudgetMiB: flags.kvBudget }),
    ...(flags.device && { device: flags.device }),
  })
  try {
    const stop = interrupted()
    const server = await startServing(policy, folder, flags, console)
    await stop
    console.log('Closing.')
    await server.close()
  } finally {
    await policy.close()
  }
}

/** Starts to listen, and prints the address. */
export async function startServing(
  policy: RolloutPolicy,
  folder: string,
  flags: ServeFlags,
  say: Pick<Console, 'log' | 'error'>,
): Promise<AgentServer> {
  const warn = (message: string) => say.error(`warning: ${message}`)
  const log = flags.output === undefined ? undefined : await RolloutLog.open(resolve(flags.output), warn)
  const token = flags.token ?? process.env.HDPO_TOKEN
  const server = createServer({
    policy,
    model: flags.name ?? basename(resolve(folder)),
    aliases: flags.alias ?? [],
    sampling: { temperature: flags.temperature },
    maxBodyBytes: Math.round(flags.maxBody * 2 ** 20),
    idleTimeout: flags.idleTimeout * 1000,
    ...(token !== undefined && { token }),
    ...(log && { onRollout: (rollout) => log.append(rollout) }),
    onWarning: warn,
  })
  const { url } = await server.listen({ host: flags.host, port: flags.port })
  say.log(`base URL: ${url}/v1`)
  say.log(`model: ${flags.name ?? basename(resolve(folder))}`)
  say.log(token === undefined ? 'token: none needed (loopback only)' : 'token: needed')
  if (log) say.log(`rollouts: ${log.path}`)
  return server
}
