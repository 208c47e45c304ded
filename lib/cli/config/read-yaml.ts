// The value of a YAML text. An anchor inside itself makes a value that nothing can write down or compare, and an integer beyond what
// a number holds would be rounded: both are refused by their key.
import { parse as parseYaml, YAMLError } from 'yaml'
import { HdpoError } from '../../core/errors.js'
import { deepest, heldExactly, JsonRefusal } from '../../core/exact-json.js'
import { isRecord } from '../../core/is-record.js'

/** `path` names the file in messages. Throws ERR_CONFIG. */
export function readYaml(text: string, path: string): unknown {
  try {
    refuseDepth(text)
    const value: unknown = parseYaml(text, { intAsBigInt: true })
    refuseCircles(value, '', new Set())
    return heldExactly(value, '')
  } catch (error) {
    if (error instanceof JsonRefusal) throw wrong(path, error.message, error)
    if (error instanceof YAMLError) throw wrong(path, `is not YAML: ${error.message}`, error)
    // An alias without its anchor, and more aliases than the parser follows.
    if (error instanceof ReferenceError) throw wrong(path, `is not YAML: ${error.message}`, error)
    throw error
  }
}

/**
 * The parser calls itself for every level: its stack ends after some 800, and where it ends in the middle of a regular expression V8
 * ends the process. Counts brackets that are open at once, in texts and comments too, and the places on which a line may begin
 * a level: spaces, and the marks of lists and keys that stand before a space.
 */
function refuseDepth(text: string): void {
  const tooDeep = () => new JsonRefusal(`is not YAML: nested deeper than ${deepest} levels`)
  let open = 0
  for (const [bracket] of text.matchAll(/[[\]{}]/g)) {
    open = Math.max(0, open + (bracket === '[' || bracket === '{' ? 1 : -1))
    if (open > deepest) throw tooDeep()
  }
  for (const line of text.split('\n')) {
    const [start = ''] = /^\w*:?(?:[-?:]?[ \t])*/.exec(line) ?? []
    if (start.length > 2 * deepest) throw tooDeep()
  }
}

function wrong(path: string, problem: string, cause: Error): HdpoError {
  return new HdpoError('ERR_CONFIG', `${path}: ${problem}`, { cause })
}

/** `inside`: the mappings and lists that hold this value. */
function refuseCircles(value: unknown, at: string, inside: ReadonlySet<unknown>): void {
  if (!Array.isArray(value) && !isRecord(value)) return
  if (inside.has(value)) {
    throw new JsonRefusal('must not hold itself (an alias names an anchor that it stands in)', at)
  }
  const around = new Set([...inside, value])
  for (const [key, inner] of Object.entries(value)) {
    refuseCircles(inner, Array.isArray(value) ? `${at}[${key}]` : at === '' ? key : `${at}.${key}`, around)
  }
}
