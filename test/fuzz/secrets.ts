// Secrets: whatever stands around one and however it is written, nothing of it is left.
import fc from 'fast-check'
import { redact, redactValue } from '../../lib/core/redact.js'
import { addSecret } from '../../lib/core/secrets.js'
import type { Target } from './target.js'

const secret = fc
  .string({
    unit: fc.constantFrom(...'abcXYZ019-_~!@#%^&*()+/=[]{}|;:,.<>?"\'\\` é'),
    minLength: 12,
    maxLength: 24,
  })
  .filter((text) => text.trim().length >= 12)

/** How a secret may be written, each of which can be undone by whoever reads it. */
const writings: Record<string, (text: string) => string> = {
  'as it is': (text) => text,
  'in JSON': (text) => JSON.stringify(text).slice(1, -1),
  'in a URL': encodeURIComponent,
  'in base64': (text) => Buffer.from(text).toString('base64'),
  'in base64url': (text) => Buffer.from(text).toString('base64url'),
  'in hex': (text) => Buffer.from(text).toString('hex'),
  'in a form': (text) => new URLSearchParams({ a: text }).toString().slice(2),
  'in HTML': (text) => text.replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`),
  'in JSON within JSON': (text) => JSON.stringify(JSON.stringify(text)).slice(3, -3),
}

const property = fc.property(
  secret,
  fc.constantFrom(...Object.keys(writings)),
  fc.string(),
  fc.string(),
  (value, how, before, after) => {
    addSecret(value)
    const written = (writings[how] as (text: string) => string)(value)
    const text = redact(`${before} ${written} ${after}`)
    if (text.includes(written))
      throw new Error(`${JSON.stringify(value)} ${how} was left in ${JSON.stringify(text)}`)
    const object = JSON.stringify(redactValue({ [written]: [{ deep: `${before}${value}${after}` }] }))
    if (object.includes(JSON.stringify(value).slice(1, -1)))
      throw new Error(`${JSON.stringify(value)} was left in ${object}`)
    // Redacted once is redacted: a second look finds nothing.
    if (redact(text) !== text) throw new Error(`redacting twice differs: ${JSON.stringify(text)}`)
  },
)

export const secrets: Target = {
  name: 'secrets',
  // Every secret is looked for from then on, so that a run takes longer than the one before.
  shortRuns: 150,
  open: async () => ({ property, close: async () => {} }),
}
