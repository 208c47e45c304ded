// A trainer whose rollout runs code, for pool.test.ts to kill: says when the code runs, and what its interpreters are.
import { javascriptTool } from '../../../lib/tools/javascript.js'
import { pythonTool } from '../../../lib/tools/python.js'
import { rollout } from './call.js'

const [, , language, code = ''] = process.argv
const tool = await (language === 'python' ? pythonTool() : javascriptTool())
const one = rollout(tool)
await one.run('1')
const running = one.run(code)
console.log('runs')
await running
setInterval(() => {}, 1000)
