// `loggers` of a config: names, names with options, or, in a TypeScript config, RunLoggers.
import { resolve } from 'node:path'
import { z } from 'zod'
import { kind } from '../../core/option-kinds.js'
import { mlflow, mlflowShape } from '../../loggers/mlflow.js'
import { prometheus, prometheusShape } from '../../loggers/prometheus.js'
import { tensorBoard, tensorBoardShape } from '../../loggers/tensorboard.js'
import type { RunLogger } from '../../loggers/types.js'

// A config file holds neither tokens nor registries: a token comes from the environment, a registry from a program.
const { token: _, ...mlflowKeys } = mlflowShape
const { register: __, port, host } = prometheusShape
export const loggerShapes = {
  tensorboard: tensorBoardShape,
  mlflow: mlflowKeys,
  prometheus: { port: port.unwrap(), host },
}

const logger = z.union([
  z.enum(['tensorboard', 'mlflow']),
  z.strictObject({
    /** TensorBoard, with options. */
    tensorboard: z.strictObject(loggerShapes.tensorboard),
  }),
  z.strictObject({
    /** MLflow, with options. */
    mlflow: z.strictObject(loggerShapes.mlflow),
  }),
  z.strictObject({
    /** Prometheus, with options. */
    prometheus: z.strictObject(loggerShapes.prometheus),
  }),
  kind<RunLogger>('a RunLogger', (value) => typeof (value as RunLogger | null)?.log === 'function'),
])

export const loggers = z.array(logger)
export type LoggersConfig = z.input<typeof loggers>

/** Relative paths start at `folder`, the folder of the config. */
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
