// Where an MCP server is, which of its tools are taken, and how they are called.
import { z } from 'zod'
import { kind, onWarning, positive, text, textOf, webAddress } from '../../core/option-kinds.js'
import type { OptionsOf, ResolvedOptions } from '../../core/options.js'

const secrets = z.record(z.string(), z.string().meta({ secret: true }))

const programShape = {
  /** A program to start, which speaks MCP over its standard input and output. */
  command: text,
  /** Arguments of `command`. */
  args: z.array(z.string()).optional(),
  /** Environment variables of `command`, besides PATH, HOME and the like; no other variable of this process reaches it. */
  env: secrets.optional(),
  /** The working directory of `command`. Default: that of this process. */
  cwd: text.optional(),
}
export interface McpProgram extends OptionsOf<typeof programShape> {}

const endpointShape = {
  /** The URL of a server that speaks streamable HTTP, instead of `command`. */
  url: z.union([
    webAddress,
    kind<URL>(
      'a URL object of such a one',
      (value) => value instanceof URL && /^https?:$/.test(value.protocol),
    ),
  ]),
  /** Headers of every request to `url`. */
  headers: secrets.optional(),
}
export interface McpEndpoint extends OptionsOf<typeof endpointShape> {}

// A call may take `timeout` + `patience`; each is at most half of what setTimeout takes.
const bounded = positive.max(2 ** 30)

const toolsShape = {
  /** Prefix of the tools' names, such as 'files_', to tell apart servers whose tools have the same names. Default: nothing. */
  prefix: textOf('at most 32 letters, digits, "_" or "-"', /^[A-Za-z0-9_-]{0,32}$/).default(''),
  /** The tools to take, by the server's own names. Default: all. */
  only: z.array(text).optional(),
  /** Milliseconds per call. Default 30,000. */
  timeout: bounded.default(30_000),
  /** Milliseconds that a call waits while the server is down and being restarted. Default 10,000. */
  patience: bounded.default(10_000),
  /** Bytes per message from the server; a longer one ends the connection, which is then opened again. Default 10 MiB. */
  maxMessageBytes: bounded.default(10 * 2 ** 20),
  /** Told which tools are left out, and which patterns are not checked. Default: process.emitWarning. */
  onWarning,
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
