// Finds known secrets in a text, however programs write text: as it is; with the escapes of JSON, addresses, forms and HTML, in
// layers; in hex; in base64, alone or with other text before and after it ('user:password'), wrapped into lines or not. Time grows
// with the length of the text and the number of secrets.
import { secretFormats } from './secret-formats.js'
import { plainView, type TextView, withoutEscapes, withoutLineBreaks } from './text-view.js'

/** From `start` to `end`, in the order of the text; they do not overlap. */
export type Places = readonly (readonly [start: number, end: number])[]

// JSON within JSON within an address.
const mostLayers = 3
const formats = new RegExp(secretFormats.join('|'), 'g')

export function createSecretFinder(secrets: readonly string[]): (text: string) => Places {
  const plain = distinct(secrets)
  const normal = distinct(secrets.flatMap(normalForms)).filter((form) => !plain.includes(form))
  const hex = distinct(secrets.flatMap(hexForms))
  const base64 = distinct(secrets.flatMap(encodedForms).flatMap(base64Cores))
  return (text) => {
    const found = [...text.matchAll(formats)].map(({ 0: match, index }): [number, number] => [
      index,
      index + match.length,
    ])
    if (plain.length === 0) return merged(found)
    const search = (
      view: TextView,
      forms: readonly string[],
      grow?: (text: string, place: number) => boolean,
    ) => {
      for (const [start, end] of occurrences(view.text, forms, grow)) found.push(view.toOriginal(start, end))
    }
    let view = plainView(text)
    search(view, plain)
    for (let layer = 0; layer < mostLayers; layer++) {
      const next = withoutEscapes(view)
      if (!next) break
      view = next
      search(view, plain)
    }
    search(view, normal)
    search(view, hex)
    // Both alphabets of base64, as one.
    const { text: line, toOriginal } = withoutLineBreaks(view)
    search({ text: line.replaceAll('-', '+').replaceAll('_', '/'), toOriginal }, base64, isBase64)
    return merged(found)
  }
}

/** `grow`: whether the character beside a form belongs to it. */
function* occurrences(
  text: string,
  forms: readonly string[],
  grow?: (text: string, place: number) => boolean,
): Generator<[number, number]> {
  for (const form of forms) {
    for (let at = text.indexOf(form); at !== -1; at = text.indexOf(form, at + form.length)) {
      let end = at + form.length
      if (!grow) yield [at, end]
      else {
        // The characters at both ends hold bits of the secret and of what is beside it.
        const start = grow(text, at - 1) ? at - 1 : at
        if (grow(text, end)) end++
        while (text[end] === '=') end++
        yield [start, end]
      }
    }
  }
}

function isBase64(text: string, place: number): boolean {
  return /[A-Za-z0-9+/]/.test(text[place] ?? '')
}

/** As it reads without any escapes, which a password may hold by chance; forms write spaces as '+'. */
function normalForms(secret: string): string[] {
  const forms = [secret, secret.replaceAll(' ', '+')]
  return [...forms, ...forms.map((form) => withoutLayers(form))]
}

function withoutLayers(text: string): string {
  let view = plainView(text)
  for (let layer = 0; layer < mostLayers; layer++) view = withoutEscapes(view) ?? view
  return view.text
}

function hexForms(secret: string): string[] {
  const hex = Buffer.from(secret).toString('hex')
  return [hex, hex.toUpperCase()]
}

/** What may have been encoded in base64 as a part of something longer. */
function encodedForms(secret: string): string[] {
  return [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret)]
}

/** The base64 of a text within a longer one, which begins 0, 1 or 2 bytes after a whole group: the characters that it decides alone. */
function base64Cores(text: string): string[] {
  const bytes = Buffer.from(text)
  return [0, 1, 2].map((before) => {
    const encoded = Buffer.concat([Buffer.alloc(before), bytes]).toString('base64')
    return encoded.slice(Math.ceil((8 * before) / 6), Math.floor((8 * (before + bytes.length)) / 6))
  })
}

function distinct(texts: readonly string[]): string[] {
  return [...new Set(texts)]
}

function merged(found: [number, number][]): Places {
  const places: [number, number][] = []
  for (const [start, end] of found.sort((a, b) => a[0] - b[0] || b[1] - a[1])) {
    const last = places.at(-1)
    if (last && start < last[1]) last[1] = Math.max(last[1], end)
    else places.push([start, end])
  }
  return places
}
