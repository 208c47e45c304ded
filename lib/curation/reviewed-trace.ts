// What a curation keeps of a reviewed trace.
import type { Review } from './review-trace.js'

export interface ReviewedTrace {
  review: Review
  /** Whether some task has the trace's question. */
  matched: boolean
}
