// Runs torch_peer.py at a shape and reads the figures that it prints.
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Shape } from './shapes.js'

export interface PeerFigures {
  trainTokensPerSecond: number
  generateTokensPerSecond: number
}

/** The command-line flags of torch_peer.py for a shape. */
export function torchFlags({ config, batch, sequence, generated }: Shape, threads: number): string[] {
  const flags = {
    dim: config.hiddenSize,
    layers: config.layers,
    heads: config.heads,
    'kv-heads': config.kvHeads,
    ffn: config.intermediateSize,
    vocab: config.vocabSize,
    batch,
    seq: sequence,
    gen: generated,
    threads,
  }
  return Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)])
}

export function runTorchPeer(shape: Shape, threads: number): PeerFigures {
  const output = runPython('torch_peer.py', torchFlags(shape, threads))
  return {
    trainTokensPerSecond: figure(output, /train ([\d,.]+) tokens\/s/),
    generateTokensPerSecond: figure(output, /generate ([\d,.]+) tokens\/s/),
  }
}

// Debian's PyTorch belongs to the system's interpreter, which need not be the first python3 of the PATH.
const python = process.env.HDPO_PYTHON ?? '/usr/bin/python3'

/** Runs a script of this folder and returns its standard output. */
export function runPython(script: string, args: string[]): string {
  const path = fileURLToPath(new URL(script, import.meta.url))
  // hdpo sets this variable for its own threads; the peer must not inherit it.
  const { GOMP_SPINCOUNT: _, ...env } = process.env
  try {
    return execFileSync(python, [path, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], env })
  } catch (error) {
    const { stderr = '', message } = error as Error & { stderr?: string }
    throw new Error(
      `the PyTorch peer did not run (Debian and Ubuntu: apt-get install python3-torch; another interpreter: HDPO_PYTHON): ${message}\n${stderr}`,
    )
  }
}

export function figure(output: string, pattern: RegExp): number {
  const found = pattern.exec(output)?.[1]
  if (found === undefined) throw new Error(`the peer printed no ${pattern}: ${output}`)
  return Number(found.replaceAll(',', ''))
}
