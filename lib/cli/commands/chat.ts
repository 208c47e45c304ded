// hdpo chat: ask a policy questions at the terminal and see the tools it calls.
import { resolve } from 'node:path'
import { createInterface } from 'node:readline/promises'
import type { Command } from 'commander'
import pc from 'picocolors'
import { deriveSeed } from '../../core/seed.js'
import type { Device } from '../../native/types.js'
import { Policy } from '../../policy/policy.js'
import type { Message, RolloutPolicy } from '../../policy/types.js'
import { runRollout } from '../../rollout/run-rollout.js'
import type { Rollout } from '../../rollout/types.js'
import type { Tool } from '../../tools/types.js'
import { closeTools, loadEnvironment, resolveTools } from '../config/environment.js'
import { policyOptions } from '../config/policy-options.js'
import { examples } from '../terminal/examples.js'
import { deviceOption, positiveNumber, wholeNumber } from '../terminal/flags.js'

interface ChatFlags {
  environment?: string
  tools?: string[]
  temperature: number
  history?: boolean
  seed: number
  threads?: number
  device: Device
}

export function addChatCommand(program: Command): void {
  program
    .command('chat')
    .description('ask a policy questions and watch its tool calls')
    .argument('<policy>', 'policy folder')
    .option('--environment <name>', 'atlas, cities, or a module: its tools')
    .option('--tools <names...>', 'built-in tools and modules')
    .option('--temperature <number>', 'sampling temperature', positiveNumber, 1)
    .option('--history', 'keep the conversation; by default every question stands alone')
    .option('--seed <number>', 'seed of sampling', wholeNumber(0), 0)
    .option('--threads <number>', 'CPU threads (default: all)', wholeNumber(1))
    .addOption(deviceOption())
    .addHelpText('after', examples('hdpo chat runs/quickstart/hdpo/policy --environment atlas'))
    .action(chat)
}

async function chat(folder: string, flags: ChatFlags): Promise<void> {
  const context = { seed: flags.seed, folder: process.cwd() }
  const environment =
    flags.environment === undefined ? undefined : await loadEnvironment(flags.environment, context)
  const tools = flags.tools ? await resolveTools(flags.tools, context.folder) : (environment?.tools ?? [])
  const policy = await Policy.load(resolve(folder), {
    device: flags.device,
    ...policyOptions({ threads: flags.threads }),
  })
  const lines = createInterface({ input: process.stdin, output: process.stdout, prompt: '> ' })
  const conversation = new ChatConversation(policy, tools, flags)
  try {
    if (process.stdin.isTTY) console.log('Ctrl-D ends it.')
    lines.prompt()
    for await (const line of lines) {
      if (line.trim() !== '') console.log(formatReply(await conversation.ask(line.trim())))
      lines.prompt()
    }
  } finally {
    lines.close()
    await policy.close()
    await closeTools(tools)
  }
}

class ChatConversation {
  #messages: Message[] = []
  #questions = 0

  constructor(
    private readonly policy: RolloutPolicy,
    private readonly tools: readonly Tool[],
    private readonly options: { temperature: number; history?: boolean; seed: number },
  ) {}

  async ask(question: string): Promise<Rollout> {
    const { temperature, history, seed } = this.options
    const messages: Message[] = [...(history ? this.#messages : []), { role: 'user', content: question }]
    const number = ++this.#questions
    const rollout = await runRollout(
      this.policy,
      { id: `question-${number}`, messages, answer: undefined },
      this.tools,
      { temperature, seed: deriveSeed(seed, 'chat', number) },
    )
    this.#messages = rollout.messages
    return rollout
  }
}

/** The calls with what they returned, then the policy's last text. */
function formatReply(rollout: Rollout): string {
  const calls = rollout.toolCalls.flatMap(({ name, arguments: input, outcome, observation }) => [
    pc.cyan(`  ${name}(${JSON.stringify(input)})`),
    (outcome === 'ok' ? pc.dim : pc.red)(`    ${outcome === 'ok' ? '' : `${outcome}: `}${observation}`),
  ])
  const said = rollout.messages.filter((message) => message.role === 'assistant').at(-1)?.content
  const reply = rollout.finalAnswer ?? said ?? ''
  return [...calls, reply === '' ? pc.dim(`(no answer: ${rollout.end})`) : pc.bold(reply)].join('\n')
}
