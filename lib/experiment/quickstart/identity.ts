// The options of a quickstart's folder; a resumed one must have the same.
import { HdpoError } from '../../core/errors.js'
import type { BuiltInFamily } from '../../families/built-in-families.js'
import type { QuickstartSettings } from './settings.js'
import type { Stages } from './stages.js'
import { comesShipped } from './starting-policy.js'

export interface QuickstartIdentity {
  environment: BuiltInFamily
  seed: number
  /** Whether the cold start is trained in this run. */
  fromScratch: boolean
}

/** Resolves `fromScratch`: by default it is true unless the cold start comes with hdpo. */
export function quickstartIdentity(
  { environment, seed, fromScratch }: QuickstartIdentity,
  settings: QuickstartSettings,
): QuickstartIdentity {
  return { environment, seed, fromScratch: fromScratch || !comesShipped(environment, seed, settings) }
}

/** Writes the options down as the first stage, or compares them with those of a resumed folder. */
export async function keepIdentity(stages: Stages, now: QuickstartIdentity, output: string): Promise<void> {
  const kept: Partial<QuickstartIdentity> = await stages.run('options', async () => now)
  // Folders from before cold starts were shipped do not record it: all of them trained their own.
  const started = { fromScratch: true, ...kept }
  for (const key of ['environment', 'seed', 'fromScratch'] as const) {
    if (started[key] === now[key]) continue
    throw new HdpoError(
      'ERR_RESUME',
      `${key} was ${started[key]} when ${output} was started and is ${now[key]} now; ` +
        `resume it ${howItWas(key, started)}, or choose another folder (--output)`,
    )
  }
}

function howItWas(key: keyof QuickstartIdentity, started: Partial<QuickstartIdentity>): string {
  if (key !== 'fromScratch') return `with ${key} ${started[key]}`
  return started.fromScratch ? 'with --from-scratch' : 'without --from-scratch'
}
