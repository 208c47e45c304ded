// All parts of the product that are fed with random input, in the order in which they are.
import { boundary } from './boundary.js'
import { calls } from './calls.js'
import { files } from './files.js'
import { sandbox } from './sandbox.js'
import { secrets } from './secrets.js'
import { server } from './server.js'
import type { Target } from './target.js'

export const targets: readonly Target[] = [boundary, calls, files, server, sandbox, secrets]
