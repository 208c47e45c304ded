// The channel weights and clip ranges of a run's loss, from its config.yaml.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { parse as parseYaml } from 'yaml'
import { readTextSync } from '../../core/text-file.js'
import { lossWeights } from '../../hdpo/algorithms.js'
import { type AlgorithmOptions, algorithmNames } from '../../hdpo/options.js'
import type { ClipRange } from '../../hdpo/token-weight.js'
import { type PolicyLossOptions, resolveLoss } from '../../native/loss-options.js'

interface RunLoss {
  /** 'none' for a supervised run. */
  algorithm: string
  accuracyWeight: number
  efficiencyWeight: number
  clip: ClipRange
}

export function loadRunLoss(runPath: string): RunLoss {
  const config = (parseYaml(configText(runPath) ?? '') ?? {}) as {
    algorithm?: AlgorithmOptions
    loss?: PolicyLossOptions
  }
  const { algorithm } = config
  const known = algorithm !== undefined && algorithmNames.includes(algorithm.name)
  const weights = known ? lossWeights(algorithm) : { accuracyWeight: 1, efficiencyWeight: 1 }
  const clip = resolveLoss(known ? (config.loss ?? {}) : {})
  return { algorithm: algorithm?.name ?? 'none', ...weights, clip }
}

/** The text of config.yaml; undefined where the run has none. */
export function configText(runPath: string): string | undefined {
  const path = join(runPath, 'config.yaml')
  return existsSync(path) ? readTextSync(path, 'ERR_RUN_FOLDER') : undefined
}
