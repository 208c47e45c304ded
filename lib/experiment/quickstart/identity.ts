// What a quickstart's folder is of; a resumed one goes on with the same.
import { HdpoError } from '../../core/errors.js'
import type { BuiltInFamily } from '../../families/built-in-families.js'
import type { QuickstartSettings } from './settings.js'
import type { Stages } from './stages.js'
import { comesShipped } from './starting-policy.js'

export interface QuickstartIdentity {
  environment: BuiltInFamily
  seed: number
  /** The cold start is trained in this run. */
  fromScratch: boolean
}

/** With `fromScratch` as it is where it was not asked for: true unless the cold start comes with hdpo. */
export function quickstartIdentity(
  { environment, seed, fromScratch }: QuickstartIdentity,
  settings: QuickstartSettings,
): QuickstartIdentity {
  return { environment, seed, fromScratch: fromScratch || !comesShipped(environment, seed, settings) }
}

/** Writes it down as the first stage, or compares it with what a resumed folder says. */
export async function keepIdentity(stages: Stages, now: QuickstartIdentity, output: string): Promise<void> {
  const kept: Partial<QuickstartIdentity> = await stages.run('options', async () => now)
  // Folders from before cold starts were shipped do not say so: all trained their own.
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
