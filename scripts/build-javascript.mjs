// Compiles lib/ to dist/, which the published package runs: JavaScript, type declarations and the data files beside them.
import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { main, root, run } from './command.mjs'

main(() => {
  rmSync(join(root, 'dist'), { recursive: true, force: true })
  run(join(root, 'node_modules', '.bin', 'tsc'), ['--project', 'tsconfig.build.json'])
  cpSync(join(root, 'lib'), join(root, 'dist'), {
    recursive: true,
    // Copies the files that tsc does not write. Folders pass the filter too, because they have to be entered.
    filter: (path) => !path.endsWith('.ts'),
  })
})
