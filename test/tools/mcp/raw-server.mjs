// A server written by hand, which keeps to the protocol until it is asked for the thing that its mode gets wrong.
import { appendFileSync, existsSync } from 'node:fs'
import { createInterface } from 'node:readline'

const [mode, notes] = process.argv.slice(2)
const again = notes !== undefined && existsSync(notes)
if (notes) appendFileSync(notes, `${process.pid}\n`)
const send = (message) => process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`)
const schema = { type: 'object', properties: { n: { type: 'integer' } }, 'x-internal': true }
const tool = (name, more = {}) => ({ name, description: name, inputSchema: schema, ...more })

const toolsOf = {
  duplicates: [tool('get.page'), tool('get_page')],
  'long-name': [tool('x'.repeat(80))],
  'no-object': [tool('odd', { inputSchema: { type: 'string' } })],
  'bad-schema': [tool('odd', { inputSchema: { type: 'object', properties: { a: { type: 'nothing' } } } })],
  output: [
    tool('read', {
      outputSchema: { type: 'object', properties: { celsius: { type: 'number' } }, required: ['celsius'] },
    }),
  ],
  always: [tool('read', { annotations: { idempotentHint: true } })],
  repeatable: [tool('read', { annotations: { idempotentHint: true } })],
}

const text = (more) => ({ type: 'object', properties: { s: { type: 'string', ...more } } })
toolsOf.odd = [
  tool('good', { inputSchema: text({}) }),
  tool('required-null', { inputSchema: { ...text({}), required: null } }),
  tool('empty', { inputSchema: {} }),
  tool('none', { inputSchema: undefined }),
  tool('nulls', {
    title: null,
    description: null,
    annotations: { readOnlyHint: null },
    outputSchema: null,
    icons: 7,
    inputSchema: { type: 'object', properties: { s: null } },
  }),
  tool('escape', { inputSchema: text({ pattern: '^https\\:\\/\\/' }) }),
  tool('flags', { inputSchema: text({ pattern: '(?i)^[a-z]+$' }) }),
  tool('slow', { inputSchema: text({ pattern: '^(a+)+$' }) }),
  tool('slow-key', {
    inputSchema: {
      type: 'object',
      patternProperties: { '^(a+)+$': { type: 'number' } },
      additionalProperties: false,
    },
  }),
  tool('slow-output', { outputSchema: text({ pattern: '^(a+)+$' }) }),
  tool('odd-output', { outputSchema: { type: 'array' } }),
  tool('lookahead', { inputSchema: text({ pattern: '^(?!x).*$' }) }),
  tool('text', { inputSchema: { type: 'string' } }),
  tool('unknown-type', { inputSchema: text({ type: 'nothing' }) }),
  tool('dangling', { inputSchema: { type: 'object', properties: { a: { $ref: '#/definitions/nowhere' } } } }),
  tool('long'.repeat(20)),
  { description: 'no name' },
  null,
]
toolsOf.many = Array.from({ length: 5000 }, (_, index) =>
  tool(`tool-${index}`, {
    inputSchema: {
      $schema: 'http://json-schema.org/draft-07/schema#',
      $id: 'https://example.com/same',
      type: 'object',
      properties: {
        [`a${index}`]: { type: 'string', pattern: `^[a-z]{1,${(index % 30) + 1}}$` },
        list: { type: 'array', items: { $ref: '#/definitions/item' } },
      },
      definitions: {
        item: { type: 'object', properties: { n: { type: 'integer', minimum: index } }, required: ['n'] },
      },
      required: [`a${index}`],
    },
  }),
)

const answers = {
  hang: () => (again ? done('back') : setInterval(() => {}, 1000) && 'silent'),
  garbage: () => process.stdout.write('this is not JSON {{{\n') && done('fine'),
  'no-content': () => ({ result: { something: 'else' } }),
  'content-number': () => ({ result: { content: 7 } }),
  'no-such-protocol': () =>
    process.stdout.write('{"jsonrpc":"2.0","id":"nobody","result":{}}\n') && done('fine'),
  output: () => ({ result: { content: [], structuredContent: { celsius: 'warm' } } }),
  error: () => ({ error: { code: -32000, message: 'the database is locked' } }),
  giant: () =>
    again ? done('back') : { result: { content: [{ type: 'text', text: 'x'.repeat(3_000_000) }] } },
  repeatable: () => (again ? done('back') : process.exit(1)),
  always: () => process.exit(1),
  once: () => (again ? done('back') : process.exit(1)),
  'stays-dead': () => process.exit(1),
}
const aLot = `${'a'.repeat(40)}!`
answers.odd = ({ name }) =>
  name === 'slow-output'
    ? { result: { content: [], isError: null, structuredContent: { s: aLot } } }
    : done('ok')
answers.many = () => done('ok')
const done = (text) => ({ result: { content: [{ type: 'text', text }] } })

if (mode === 'stays-dead' && again) process.exit(3)
if (mode === 'never') setInterval(() => {}, 1000)
if (mode === 'dies') {
  console.error('config.toml: no such file')
  process.exit(2)
}
let silent = mode === 'never'
createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, method, params } = JSON.parse(line)
  if (silent || id === undefined) return
  if (method === 'initialize') {
    const { protocolVersion } = params
    send({
      id,
      result: { protocolVersion, capabilities: { tools: {} }, serverInfo: { name: mode, version: '1' } },
    })
  } else if (method === 'tools/list') {
    send({ id, result: { tools: toolsOf[mode] ?? [tool('read')] } })
  } else if (method === 'tools/call') {
    const answer = answers[mode](params)
    if (answer === 'silent') silent = true
    else send({ id, ...answer })
  } else {
    send({ id, result: {} })
  }
})
