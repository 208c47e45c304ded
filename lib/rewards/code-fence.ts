// Models put JSON into a code fence, over several lines or in one.

/** What a code fence around the whole text holds; the text itself where there is none. */
export function withoutCodeFence(text: string): string {
  const whole = text.trim()
  return /^```(?:json)?\s*([\s\S]*?)\s*```$/.exec(whole)?.[1] ?? whole
}
