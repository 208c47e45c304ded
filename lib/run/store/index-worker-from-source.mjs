// Starts index-worker.ts in a clone, where TypeScript is run as it is: a thread has to be told how by itself.
import { register } from 'tsx/esm/api'

register()
await import('./index-worker.ts')
