// Takes the lock of a folder, as often as asked for, at once or after a line of input; prints what came of each. Lets go and ends
// when its input ends; the word "exit" makes it call process.exit().
import { type FolderLock, lockFolder } from '../../lib/core/folder-lock.js'

const [folder = '', times = '1', start = 'at-once'] = process.argv.slice(2)

async function contend(): Promise<FolderLock | undefined> {
  try {
    const lock = await lockFolder(folder)
    console.log('taken')
    return lock
  } catch (error) {
    console.log(`${(error as { code?: string }).code}: ${(error as Error).message}`)
    return undefined
  }
}

const input = process.stdin[Symbol.asyncIterator]()
if (start === 'on-demand') {
  console.log('ready')
  await input.next()
}
const locks = await Promise.all(Array.from({ length: Number(times) }, contend))
for (let line = await input.next(); !line.done; line = await input.next()) {
  if (String(line.value).trim() === 'exit') process.exit(3)
}
for (const lock of locks) await lock?.release()
