/** What a long piece of work tells `onProgress`, each time that something of it is done. */
export interface ProgressReport {
  done: number
  total: number
}
