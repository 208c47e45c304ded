// Runs torch_gpu_peer.py: what PyTorch reaches on the same GPU. Returns nothing where there is no PyTorch with CUDA.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { ModelConfig } from '../../lib/native/types.js'

export interface GpuPeer {
  plainLossSeconds: number
  plainLossBytes: number
  attentionSeconds: number
  attentionBackwardSeconds: number
  trainTokensPerSecond: number
  generateTokensPerSecond1: number
  generateTokensPerSecond256: number
}

export function runTorchGpuPeer(config: ModelConfig): GpuPeer | undefined {
  const python = process.env.HDPO_PYTHON ?? 'python3'
  const script = fileURLToPath(new URL('torch_gpu_peer.py', import.meta.url))
  const { status, stdout, stderr, error } = spawnSync(python, [script, JSON.stringify(config)], {
    encoding: 'utf8',
  })
  if (status === 0) return JSON.parse(stdout.trim().split('\n').at(-1) as string) as GpuPeer
  console.log(
    `No peer: ${error?.message ?? stderr.trim().split('\n').at(-1)} (another interpreter: HDPO_PYTHON)\n`,
  )
  return undefined
}
