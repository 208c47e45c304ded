/** Runs `work` and adds its wall-clock seconds to `into[phase]`. */
export async function timed<Phase extends string, Result>(
  into: Record<Phase, number>,
  phase: Phase,
  work: () => Promise<Result>,
): Promise<Result> {
  const start = performance.now()
  try {
    return await work()
  } finally {
    into[phase] += (performance.now() - start) / 1000
  }
}
