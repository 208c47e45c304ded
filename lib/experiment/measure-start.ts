// Measures the policy before reinforcement learning: what it knows without tools, and what it does with them.
import { measureKnown } from '../evaluation/evaluate.js'
import { curveTasks, type Knowledge, keepKnowledge, toKnowledge } from '../evaluation/knowledge.js'
import type { Task } from '../rollout/types.js'
import { askHeldOut, type HeldOut, type HeldOutSummaries, type Keep, keepNothing } from './held-out.js'

interface MeasureStartOptions {
  heldOut: HeldOut
  /** How often each question is asked without tools (measureKnown has a default), and the seed for it. */
  known: { samples?: number; seed: number }
  /** The most known, and the most needed, questions that the curves ask. Default: all questions, whether known or not. */
  curveQuestions?: number
  onKnowledge?: (knowledge: Knowledge) => void
  keep?: Keep<'knowledge' | 'before'>
}

export interface Start {
  knowledge: Knowledge
  /** The questions of the curves. */
  curve: readonly Task[]
  before: HeldOutSummaries
}

/** Rejects with the signal's reason where `heldOut.signal` stops it. */
export async function measureStart(options: MeasureStartOptions): Promise<Start> {
  const { heldOut, known, curveQuestions, onKnowledge, keep = keepNothing } = options
  const { samples: _, ...asked } = heldOut
  const knowledge = toKnowledge(
    await keep('knowledge', async () => keepKnowledge(await measureKnown({ ...asked, ...known }))),
  )
  onKnowledge?.(knowledge)
  const { tasks } = heldOut
  const curve = curveQuestions === undefined ? tasks : curveTasks(tasks, knowledge, curveQuestions)
  return { knowledge, curve, before: await keep('before', () => askHeldOut(heldOut, knowledge, curve)) }
}
