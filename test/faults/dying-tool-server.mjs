// An MCP server over stdio that doubles numbers and dies in its way: node dying-tool-server.mjs '{"at": 3, "how": "before"}'. `at`
// counts the calls of this process, so that a server that was started again dies again.
import { createInterface } from 'node:readline'

const { at, how, repeatable } = JSON.parse(process.argv[2])
const line = (message) => `${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`
const send = (message) => process.stdout.write(line(message))
const tool = {
  name: 'double',
  description: 'Doubles a number',
  inputSchema: { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] },
  ...(repeatable && { annotations: { readOnlyHint: true } }),
}

/** What the server does instead of an answer, or after it. */
const deaths = {
  before: () => process.exit(1),
  after: (answer) => process.stdout.write(answer, () => process.exit(0)),
  half: (answer) => process.stdout.write(answer.slice(0, answer.length / 2), () => process.exit(1)),
  garbage: (answer) => process.stdout.write(`Segmentation fault\n\u0000{"jsonrpc":\n${answer}`),
  signal: () => process.kill(process.pid, 'SIGKILL'),
  silent: () => {},
  'closed output': () => process.stdout.end(),
}

let calls = 0
createInterface({ input: process.stdin }).on('line', (text) => {
  const { id, method, params } = JSON.parse(text)
  if (id === undefined) return
  if (method === 'initialize') {
    const { protocolVersion } = params
    const serverInfo = { name: 'dying', version: '1' }
    send({ id, result: { protocolVersion, capabilities: { tools: {} }, serverInfo } })
  } else if (method === 'tools/list') send({ id, result: { tools: [tool] } })
  else if (method !== 'tools/call') send({ id, result: {} })
  else {
    const answer = { id, result: { content: [{ type: 'text', text: String(2 * params.arguments.n) }] } }
    if (++calls === at) deaths[how](line(answer))
    else send(answer)
  }
})
