// The state that the dashboard's routes share.

import type { RunList } from './run-list.js'

export interface UiContext {
  runs: RunList
  token: string | undefined
  /** Milliseconds between checks of the run folders for open pages. */
  interval: number
  warn: (message: string) => void
}
