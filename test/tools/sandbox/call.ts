import type { CodeTool } from '../../../lib/tools/sandbox/code-tool.js'

export interface Rollout {
  run(code: string, signal?: AbortSignal): Promise<string>
  end(): void
}

/** A rollout that runs code: each call resolves with what the policy reads, or rejects. */
export function rollout(tool: CodeTool, rolloutId = 'rollout'): Rollout {
  const ended = new AbortController()
  return {
    run: async (code, signal = new AbortController().signal) =>
      String(await tool.run(tool.validate({ code }), { signal, rolloutId, rolloutEnded: ended.signal })),
    end: () => ended.abort(),
  }
}

/** One call in a rollout of its own. */
export async function runOnce(tool: CodeTool, code: string): Promise<string> {
  const single = rollout(tool)
  try {
    return await single.run(code)
  } finally {
    single.end()
  }
}
