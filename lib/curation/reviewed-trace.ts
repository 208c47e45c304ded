// What a curation keeps of a trace that it has been through.
import type { Review } from './review-trace.js'

export interface ReviewedTrace {
  review: Review
  /** Its question is some task's. */
  matched: boolean
}
