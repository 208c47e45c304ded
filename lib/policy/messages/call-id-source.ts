// Ids of calls on their way to an API, which asks for ids that are unique and not empty.
import { callIdOf } from './read-calls.js'

/** The given id where it is text that has not been used yet, else an own one: 'call_0', 'call_1' and so on. */
export function callIdSource(): (given: unknown) => string {
  const used = new Set<string>()
  let count = 0
  return (given) => {
    let id = typeof given === 'string' ? callIdOf(given) : undefined
    while (id === undefined || used.has(id)) id = `call_${count++}`
    used.add(id)
    return id
  }
}
