/** What long work passes to `onProgress` each time that a part of it is done. */
export interface ProgressReport {
  done: number
  total: number
}
