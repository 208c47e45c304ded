export type WarnOnce = (topic: string, message: string) => void

/** Warns of each topic only the first time, because thousands of requests make the same mistake. */
export function warnOnce(tell: (message: string) => void): WarnOnce {
  const told = new Set<string>()
  return (topic, message) => {
    if (told.has(topic)) return
    told.add(topic)
    tell(message)
  }
}
