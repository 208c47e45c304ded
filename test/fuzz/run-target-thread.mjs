// Starts run-target.ts in a thread: it has to be told how TypeScript is run by itself.
import { register } from 'tsx/esm/api'

register()
await import('./run-target.ts')
