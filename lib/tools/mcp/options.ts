// Where an MCP server is, and how its tools are taken and called.
import { z } from 'zod'
import { kind, positive, text, textOf, webAddress } from '../../core/option-kinds.js'
import type { OptionsOf, ResolvedOptions } from '../../core/options.js'

const secrets = z.record(z.string(), z.string().meta({ secret: true }))

const programShape = {
  /** A program that is started and speaks over its standard input and output. */
  command: text,
  /** Arguments of `command`. */
  args: z.array(z.string()).optional(),
  /** Environment of `command`, besides PATH, HOME and the like; nothing else of our own environment reaches it. */
  env: secrets.optional(),
  /** The folder that `command` runs in. Default: that of this process. */
  cwd: text.optional(),
}
export interface McpProgram extends OptionsOf<typeof programShape> {}

const endpointShape = {
  /** A server that speaks streamable HTTP, instead of `command`. */
  url: z.union([
    webAddress,
    kind<URL>(
      'a URL object of such a one',
      (value) => value instanceof URL && /^https?:$/.test(value.protocol),
    ),
  ]),
  /** Sent with every request to `url`. */
  headers: secrets.optional(),
}
export interface McpEndpoint extends OptionsOf<typeof endpointShape> {}

// A call may take both, and setTimeout takes no more than twice as much.
const bounded = positive.max(2 ** 30)

const toolsShape = {
  /** Put before the names of the tools, so that servers with the same names go together: 'files_' and the like. Default: nothing. */
  prefix: textOf('at most 32 letters, digits, "_" or "-"', /^[A-Za-z0-9_-]{0,32}$/).default(''),
  /** The server's own names of the tools to take. Default: all. */
  only: z.array(text).optional(),
  /** Milliseconds of one call. Default 30,000. */
  timeout: bounded.default(30_000),
  /** Milliseconds that a call waits for a server that is down and being restarted. Default 10,000. */
  patience: bounded.default(10_000),
  /** Bytes of one message from the server; a longer one ends the connection, which is made again. Default 10 MiB. */
  maxMessageBytes: bounded.default(10 * 2 ** 20),
}
export interface McpOptions extends OptionsOf<typeof toolsShape> {}
export type LinkSettings = Pick<
  ResolvedOptions<typeof toolsShape>,
  'timeout' | 'patience' | 'maxMessageBytes'
>

export const mcpShape = {
  ...programShape,
  command: programShape.command.optional(),
  ...endpointShape,
  url: endpointShape.url.optional(),
  ...toolsShape,
}
export type McpServer = (McpProgram | McpEndpoint) & McpOptions

export const mcpServer = z
  .strictObject(mcpShape)
  .refine(({ command, url }) => command === undefined || url === undefined, {
    path: ['url'],
    message: 'left out where command is given',
  })
  .refine(({ command, url }) => command !== undefined || url !== undefined, {
    path: ['command'],
    message: 'text, where no url is given',
  })
