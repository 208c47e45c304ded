// Compiles lib/ to dist/, what the published package runs: JavaScript, type declarations and the data files beside them.
import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { main, root, run } from './command.mjs'

main(() => {
  rmSync(join(root, 'dist'), { recursive: true, force: true })
  run(join(root, 'node_modules', '.bin', 'tsc'), ['--project', 'tsconfig.build.json'])
  cpSync(join(root, 'lib'), join(root, 'dist'), {
    recursive: true,
    // Folders have to be entered; of the files, those that tsc does not write.
    filter: (path) => !path.endsWith('.ts'),
  })
})
