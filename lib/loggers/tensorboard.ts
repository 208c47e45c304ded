import { appendFile, mkdir, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { path } from '../core/option-kinds.js'
import { type OptionsOf, readOptions } from '../core/options.js'
import { encodeRecord } from './event-file.js'
import type { RunLogger } from './types.js'

export const tensorBoardShape = {
  /** The folder of the event files. Default: the folder tensorboard/ in the run folder. */
  folder: path.optional(),
}
const tensorBoardOptions = z.strictObject(tensorBoardShape)
export interface TensorBoardOptions extends OptionsOf<typeof tensorBoardShape> {}

/** Writes event files for `tensorboard --logdir runs`: one per process, so a resumed run has several. */
export function tensorBoard(options: TensorBoardOptions = {}): RunLogger {
  const { folder } = readOptions(tensorBoardOptions, options, 'tensorBoard')
  let path = ''
  const now = () => Date.now() / 1000
  return {
    name: 'tensorboard',
    async start(run) {
      const into = folder ?? join(run.folder, 'tensorboard')
      await mkdir(into, { recursive: true })
      path = join(
        into,
        `events.out.tfevents.${Math.floor(now())}.${hostname()}.${process.pid}.${Math.floor(performance.now())}`,
      )
      const version = encodeRecord({ wallTime: now(), fileVersion: 'brain.Event:2' })
      const session = encodeRecord({ wallTime: now(), step: run.resumedFrom + 1, sessionStart: true })
      await writeFile(path, run.resumedFrom > 0 ? Buffer.concat([version, session]) : version)
    },
    async log(step, scalars) {
      await appendFile(path, encodeRecord({ wallTime: now(), step, scalars }))
    },
  }
}
