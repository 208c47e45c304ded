// What hdpo eval evaluates: a policy folder, a model behind a chat API, or a user's own agent.
import { resolve } from 'node:path'
import pLimit from 'p-limit'
import { allOrNone } from '../../core/all-or-none.js'
import { HdpoError } from '../../core/errors.js'
import { addSecretVariables } from '../../core/secrets.js'
import { agentRollout } from '../../evaluation/agent-rollout.js'
import { ChatEndpoint } from '../../evaluation/chat-endpoint.js'
import { endpointRollout } from '../../evaluation/endpoint-rollout.js'
import type { EvaluateOptions } from '../../evaluation/evaluate.js'
import { Policy } from '../../policy/policy.js'
import type { Agent } from '../../rollout/agent.js'
import type { GroupOptions } from '../../rollout/group.js'
import type { Rollout, Task } from '../../rollout/types.js'
import type { Tool } from '../../tools/types.js'
import { importDefault } from '../config/config.js'
import { policyOptions } from '../config/policy-options.js'
import type { EvalFlags } from './eval-flags.js'

export interface EvalTarget {
  /** Shown to people and written to --output. */
  name: string
  asking: Pick<EvaluateOptions, 'policy' | 'play'>
  close(): Promise<void>
}

export async function openTarget(
  folder: string | undefined,
  flags: EvalFlags,
  tools: readonly Tool[],
): Promise<EvalTarget> {
  const given = [folder, flags.endpoint, flags.agent].filter((each) => each !== undefined)
  if (given.length !== 1) {
    throw new HdpoError(
      'ERR_CONFIG',
      `exactly one of a policy folder, --endpoint and --agent must be given; got ${given.length === 0 ? 'none' : given.join(' and ')}`,
    )
  }
  if (flags.endpoint !== undefined) return endpointTarget(flags.endpoint, flags, tools)
  if (flags.agent !== undefined) return agentTarget(flags.agent, flags)
  return policyTarget(folder as string, flags)
}

async function policyTarget(folder: string, { threads, device }: EvalFlags): Promise<EvalTarget> {
  const policy = await Policy.load(resolve(folder), { device, ...policyOptions({ threads }) })
  return { name: folder, asking: { policy }, close: () => policy.close() }
}

function endpointTarget(baseURL: string, flags: EvalFlags, tools: readonly Tool[]): EvalTarget {
  const { model, keyVariable, system, temperature } = flags
  if (model === undefined)
    throw new HdpoError('ERR_CONFIG', '--model must be given: the name that the endpoint knows')
  const key = process.env[keyVariable]
  if (key !== undefined) addSecretVariables([keyVariable])
  const endpoint = new ChatEndpoint({
    baseURL,
    model,
    ...(key !== undefined && key !== '' && { key }),
    body: { ...flags.body, ...(temperature !== undefined && { temperature }) },
    retry: { timeout: 1000 * flags.timeout, retries: flags.retries },
  })
  const limit = pLimit(flags.concurrency)
  const play = (task: Task, { size, seed: _, signal, ...rollout }: GroupOptions): Promise<Rollout[]> =>
    allOrNone(size, [signal], (id, stop) =>
      limit(() =>
        endpointRollout({
          endpoint,
          task,
          tools,
          rollout,
          id: `${task.id}#${id}`,
          signal: stop,
          ...(system !== undefined && { system }),
        }),
      ),
    )
  return { name: `${model} at ${baseURL}`, asking: { play }, close: async () => undefined }
}

async function agentTarget(path: string, { concurrency }: EvalFlags): Promise<EvalTarget> {
  const agent = await importDefault(resolve(path))
  if (typeof agent !== 'function') {
    throw new HdpoError('ERR_CONFIG', `${path}: its default export must be a function that asks the agent`)
  }
  const limit = pLimit(concurrency)
  const play = (task: Task, { size, signal, toolChoice }: GroupOptions): Promise<Rollout[]> =>
    allOrNone(size, [signal], (id, stop) =>
      limit(() =>
        agentRollout(agent as Agent, {
          task,
          id: `${task.id}#${id}`,
          toolChoice: toolChoice === 'none' ? 'none' : 'auto',
          signal: stop,
        }),
      ),
    )
  return { name: path, asking: { play }, close: async () => undefined }
}
