// Files of users: each is read, or refused by its name, whatever bytes are in it.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { applyEdits, edits } from './file-edits.js'
import { fileSpecimens } from './file-specimens.js'
import { type OpenTarget, orRefusal, type Target } from './target.js'

export const files: Target = { name: 'files', shortRuns: 300, batchRuns: 50, open }

async function open(): Promise<OpenTarget> {
  const folder = await mkdtemp(join(tmpdir(), 'hdpo-fuzz-'))
  const specimens = await fileSpecimens()
  let count = 0
  const property = fc.asyncProperty(
    fc.constantFrom(...specimens.map(({ name }) => name)),
    edits,
    async (name, given) => {
      const specimen = specimens.find((each) => each.name === name) as (typeof specimens)[number]
      // A folder of its own: what is held open of another keeps its content.
      const place = await mkdtemp(join(folder, `${++count}-`))
      try {
        for (const [file, content] of Object.entries(specimen.files))
          await writeFile(join(place, file), file === specimen.changed ? applyEdits(content, given) : content)
        await orRefusal(() => specimen.read(place))
      } finally {
        await rm(place, { recursive: true })
      }
    },
  )
  return { property, close: () => rm(folder, { recursive: true, force: true }) }
}
