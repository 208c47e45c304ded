// The dashboard: a page over run folders, live while the runs train. It only reads files and never talks to a trainer.
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { z } from 'zod'
import { HdpoError } from '../core/errors.js'
import { milliseconds, onWarning, secret, text } from '../core/option-kinds.js'
import { type OptionsOf, readOptions } from '../core/options.js'
import { addSecret } from '../core/secrets.js'
import { listen, listenShape } from '../http/listen.js'
import { nodeListener } from '../http/node-listener.js'
import { RunList } from './run-list.js'
import { createUiHandler } from './ui-handler.js'

export const uiShape = {
  ...listenShape,
  /** A run folder, or a folder that contains run folders. */
  folder: text,
  /** The token that the page's address must contain (/?token=...). Needed on any host but loopback. Default: none. */
  token: secret.min(8).optional(),
  /** Milliseconds between checks for changes of the runs. Default 1,000. */
  interval: milliseconds.default(1000),
  /** Called with errors that occur outside of a request. Default: process.emitWarning. */
  onWarning,
}
const uiOptions = z.strictObject(uiShape)
export interface UiOptions extends OptionsOf<typeof uiShape> {}

export interface UiServer {
  url: string
  /** The runs found at the start. */
  runs: string[]
  close(): Promise<void>
}

export async function startUi(options: UiOptions): Promise<UiServer> {
  const { folder, token, interval, onWarning, port, host } = readOptions(uiOptions, options, 'startUi')
  if (!existsSync(folder)) throw new HdpoError('ERR_NO_RUN', `there is no folder ${resolve(folder)}`)
  if (token !== undefined) addSecret(token, 'hdpo ui token')
  const runs = new RunList(folder, onWarning)
  const found = runs.all().map(({ id }) => id)
  const handler = createUiHandler({ runs, token, interval, warn: onWarning })
  const listener = nodeListener(handler, (error) => onWarning(`a response broke off: ${String(error)}`))
  const listening = await listen(listener, { port, host }, token !== undefined)
  return {
    url: listening.url,
    runs: found,
    async close() {
      await listening.close()
      await runs.close()
    },
  }
}
