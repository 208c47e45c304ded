// Tells the weights that an adapter stands on from others: names, sizes, and the whole of every small file. Of files that are so large
// that reading them would take many seconds, samples.
import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { basename } from 'node:path'

const smallBytes = 2 ** 30
const samples = 64
const sampleBytes = 4096

/** `paths`: the safetensors files, in order. The beginning of each, which has its header, is among the samples. */
export async function weightFingerprint(paths: readonly string[]): Promise<string> {
  const hash = createHash('sha256')
  for (const path of paths) {
    const file = await open(path, 'r')
    try {
      const { size } = await file.stat()
      hash.update(`${basename(path)} ${size}\n`)
      if (size <= smallBytes) {
        for await (const chunk of file.createReadStream({ autoClose: false, start: 0 }))
          hash.update(chunk as Buffer)
        continue
      }
      const buffer = Buffer.alloc(sampleBytes)
      for (let sample = 0; sample < samples; sample++) {
        const at = Math.floor((sample * Math.max(size - sampleBytes, 0)) / (samples - 1))
        const { bytesRead } = await file.read(buffer, 0, sampleBytes, at)
        hash.update(buffer.subarray(0, bytesRead))
      }
    } finally {
      await file.close()
    }
  }
  return hash.digest('hex').slice(0, 16)
}
