// What the routes of the dashboard work on.

import type { RunList } from './run-list.js'

export interface UiContext {
  runs: RunList
  token: string | undefined
  /** Milliseconds between looks at the run folders for pages that are open. */
  interval: number
  warn: (message: string) => void
}
