// Measures sampling in tokens per second: all sequences at once, through the public sequence handles, after prefill.
import { fromNative, loadAddon } from '../lib/native/addon.js'
import { resolveEngine } from '../lib/native/engine-options.js'
import { NativeSequence } from '../lib/policy/sequence.js'
import { prompt, type Shape } from './shapes.js'
import { median } from './training.js'

const warmUpRuns = 1
const runs = 5

export async function measureGeneration(shape: Shape, batch: number, threads: number): Promise<number> {
  const { Engine } = loadAddon()
  const engine = new Engine(resolveEngine({ config: shape.config, threads }))
  await fromNative(engine.ready())
  const seconds: number[] = []
  try {
    for (let run = 0; run < warmUpRuns + runs; run++) {
      const sequences = Array.from({ length: batch }, () =>
        NativeSequence.create(engine, randomTokens(prompt + 1, shape.config.vocabSize)),
      )
      await Promise.all(sequences.map((sequence) => sequence.prefill()))
      const start = performance.now()
      const samples = await Promise.all(
        sequences.map((sequence, index) =>
          sequence.sample({ maxTokens: shape.generated, seed: run * batch + index }),
        ),
      )
      const elapsed = (performance.now() - start) / 1000
      if (samples.some((sample) => sample.tokens.length !== shape.generated))
        throw new Error('a sample ended early')
      if (run >= warmUpRuns) seconds.push(elapsed)
      for (const sequence of sequences) sequence.release()
    }
  } finally {
    await fromNative(engine.close())
  }
  return (batch * shape.generated) / median(seconds)
}

function randomTokens(count: number, vocabSize: number): Int32Array {
  return Int32Array.from({ length: count }, () => Math.floor(Math.random() * vocabSize))
}
