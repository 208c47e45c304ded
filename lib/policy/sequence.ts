// A sequence handle over the native generator. The state is freed by release(), or by the garbage collector when a handle is lost.
import { HdpoError } from '../core/errors.js'
import { fromNative, type NativeEngine } from '../native/addon.js'
import { resolveSampling } from '../native/sampling-options.js'
import type { Sample, SamplingOptions } from '../native/types.js'
import { checkTokens } from './native-arguments.js'
import type { Sequence } from './types.js'

const lostHandles = new FinalizationRegistry<{ engine: NativeEngine; id: number }>(({ engine, id }) =>
  engine.releaseSequence(id),
)

export class NativeSequence implements Sequence {
  #released = false

  private constructor(
    private readonly engine: NativeEngine,
    private readonly id: number,
    private readonly vocabSize: number,
  ) {
    lostHandles.register(this, { engine, id }, this)
  }

  /** `vocabSize`: of the model; default: any that an int32 can name. */
  static create(engine: NativeEngine, tokens: ArrayLike<number>, vocabSize = 2 ** 31): NativeSequence {
    return new NativeSequence(engine, engine.createSequence(checkTokens(tokens, vocabSize)), vocabSize)
  }

  fork(): Sequence {
    this.#check()
    return new NativeSequence(this.engine, this.engine.forkSequence(this.id), this.vocabSize)
  }

  append(tokens: ArrayLike<number>): void {
    this.#check()
    this.engine.appendTokens(this.id, checkTokens(tokens, this.vocabSize))
  }

  prefill(): Promise<void> {
    this.#check()
    return fromNative(this.engine.prefill(this.id))
  }

  /** With an aborted `signal` the sample resolves at once with what it has, finishReason 'aborted'. */
  async sample(given: SamplingOptions): Promise<Sample> {
    this.#check()
    const { signal, logitBias, ...options } = resolveSampling(given)
    const onAbort = () => this.engine.abortSample(this.id)
    const pending = this.engine.sample(this.id, {
      ...options,
      ...(logitBias && { logitBias: [...logitBias] }),
    })
    if (signal?.aborted) onAbort()
    signal?.addEventListener('abort', onAbort, { once: true })
    try {
      return await fromNative(pending)
    } finally {
      signal?.removeEventListener('abort', onAbort)
    }
  }

  release(): void {
    if (this.#released) return
    this.#released = true
    lostHandles.unregister(this)
    this.engine.releaseSequence(this.id)
  }

  #check(): void {
    if (this.#released) throw new HdpoError('ERR_SEQUENCE', 'this sequence has been released')
  }
}
