export type WarnOnce = (topic: string, message: string) => void

/** Tells of each topic the first time alone: thousands of requests make the same mistake. */
export function warnOnce(tell: (message: string) => void): WarnOnce {
  const told = new Set<string>()
  return (topic, message) => {
    if (told.has(topic)) return
    told.add(topic)
    tell(message)
  }
}
