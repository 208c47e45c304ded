// `loggers` of a config: names, or names with options, or RunLoggers where the config is TypeScript.
import { resolve } from 'node:path'
import { z } from 'zod'
import { mlflow } from '../../loggers/mlflow.js'
import { prometheus } from '../../loggers/prometheus.js'
import { tensorBoard } from '../../loggers/tensorboard.js'
import type { RunLogger } from '../../loggers/types.js'

const tensorBoardOptions = z.strictObject({ folder: z.string().exactOptional() })
const mlflowOptions = z.strictObject({
  url: z.url().exactOptional(),
  experiment: z.string().min(1).exactOptional(),
})
const prometheusOptions = z.strictObject({
  port: z.int().min(0).max(65535),
  host: z.string().exactOptional(),
})

const logger = z.union([
  z.enum(['tensorboard', 'mlflow']),
  z.strictObject({ tensorboard: tensorBoardOptions }),
  z.strictObject({ mlflow: mlflowOptions }),
  z.strictObject({ prometheus: prometheusOptions }),
  z.custom<RunLogger>((value) => typeof (value as RunLogger | null)?.log === 'function'),
])

export const loggers = z.array(logger)
export type LoggersConfig = z.infer<typeof loggers>

/** Relative paths start at `folder`, the config's. */
export function resolveLoggers(config: LoggersConfig, folder: string): RunLogger[] {
  return config.map((entry) => {
    if (entry === 'tensorboard') return tensorBoard()
    if (entry === 'mlflow') return mlflow()
    if ('log' in entry) return entry
    if ('tensorboard' in entry) {
      const into = entry.tensorboard.folder
      return tensorBoard(into === undefined ? {} : { folder: resolve(folder, into) })
    }
    return 'mlflow' in entry ? mlflow(entry.mlflow) : prometheus(entry.prometheus)
  })
}
