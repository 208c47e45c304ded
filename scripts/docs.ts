// Writes the pages that are generated from the code: docs/options.md from the shapes of options and their doc comments,
// docs/errors.md from the table of codes, docs/config.md from the configs that hdpo init writes. test/docs-generated.test.ts fails where they are not what this writes.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { z } from 'zod'
import { starterConfig, starterNames } from '../lib/cli/config/starter-configs.js'
import { errorCodes } from '../lib/core/error-codes.js'
import { expectedBy, type JsonSchema, jsonSchemaOf, propertiesOf } from '../lib/core/option-expectation.js'
import { root } from './command.mjs'
import { CommentReader, type DescribedOption } from './doc-comments.js'
import { groups, type Section } from './option-sections.js'

/** The content of each page by its path, and what is missing in the code for them to be whole. */
export function generatePages(): { pages: Record<string, string>; missing: string[] } {
  const reader = new CommentReader(join(root, 'scripts', 'option-sections.ts'))
  const page = new OptionsPage(reader.shapes())
  const options = page.text()
  return {
    pages: { 'docs/options.md': options, 'docs/errors.md': errorsPage(), 'docs/config.md': configPage() },
    missing: [...page.missing, ...reader.forgotten().map((shape) => `${shape} stands in no section`)],
  }
}

const note = '<!-- Written by npm run docs; change the code, not this page. -->'

class OptionsPage {
  /** Options without a word about them, and those whose comment names another default than the code has. */
  readonly missing: string[] = []
  readonly #described: DescribedOption[][]
  /** Titles of sections by the names of their options. */
  readonly #titles = new Map<string, string>()

  constructor(described: DescribedOption[][]) {
    this.#described = described
    const sections = groups.flatMap((group) => group.sections)
    for (const [index, { title }] of sections.entries()) {
      const key = namesOf(described[index] as DescribedOption[])
      if (!this.#titles.has(key)) this.#titles.set(key, title)
    }
  }

  text(): string {
    let index = 0
    const parts = groups.map(({ title, sections }) =>
      [
        `## ${title}`,
        ...sections.map((section) => this.#section(section, this.#described[index++] as DescribedOption[])),
      ].join('\n\n'),
    )
    return `${[intro, contents(), ...parts].join('\n\n')}\n`
  }

  #section({ title, about, shape }: Section, described: DescribedOption[]): string {
    const schema = shape instanceof z.ZodType ? shape : z.strictObject(shape as z.core.$ZodLooseShape)
    const rows = this.#rows(described, jsonSchemaOf(schema), '', title)
    const head = ['| option | what it may be | default | |', '| --- | --- | --- | --- |']
    return [`### ${title}`, ...(about ? [about] : []), [...head, ...rows].join('\n')].join('\n\n')
  }

  #rows(described: DescribedOption[], schema: JsonSchema, prefix: string, title: string): string[] {
    const places = propertiesOf(schema)
    const required = formsWith(schema).flatMap((form) => form.required ?? [])
    const order = Object.keys(places)
    const inOrder = [...described].sort((one, other) => order.indexOf(one.name) - order.indexOf(other.name))
    return inOrder.flatMap(({ name, comment, options }) => {
      const place = places[name] as JsonSchema
      const path = `${prefix}${name}`
      const isRequired = required.includes(name)
      const { text, fallback } = splitDefault(comment)
      if (comment === '') this.missing.push(`${title}: ${path} has no comment`)
      if (fallback !== undefined && contradicts(fallback, place.default)) {
        this.missing.push(
          `${title}: ${path} says Default ${fallback}, the code ${JSON.stringify(place.default)}`,
        )
      }
      const link = options && this.#titles.get(namesOf(options))
      const isLink = link !== undefined && link !== title
      const may = isLink ? `[${cell(link)}](#${anchorOf(link)})` : mayBe(place)
      const shown = isRequired ? '(needed)' : (fallback ?? shownDefault(place.default, isLink))
      const row = `| \`${path}\` | ${may} | ${cell(shown)} | ${cell(text)} |`
      if (!options || isLink) return [row]
      const isList = place.items !== undefined
      return [
        row,
        ...this.#rows(
          options,
          isList ? (place.items as JsonSchema) : place,
          `${path}${isList ? '[]' : ''}.`,
          title,
        ),
      ]
    })
  }
}

const intro = `# Options

${note}

Every option of the library's functions and of the config files. "(needed)": it must be given. An option that is given as undefined
is absent, and one that is not listed is refused. A wrong one is an InvalidOptionError, before any work, in one form of message:
\`loss.clipLow: must be 0 to 1, got 2\`; its \`option\`, \`expected\` and \`given\` say the same to a program ([errors.md](errors.md)).`

function contents(): string {
  return groups
    .map(({ title, sections }) => {
      const links = sections.map((section) => `[${section.title}](#${anchorOf(section.title)})`)
      return `- ${title}: ${links.join(', ')}`
    })
    .join('\n')
}

function namesOf(options: readonly DescribedOption[]): string {
  return options
    .map(({ name }) => name)
    .sort()
    .join()
}

type WithRequired = JsonSchema & { required?: string[] }

function formsWith(schema: WithRequired): WithRequired[] {
  return [schema, ...(schema.anyOf ?? []).flatMap(formsWith)]
}

/** "How patient. Default 3." -> the text, and 3. */
export function splitDefault(comment: string): { text: string; fallback?: string } {
  const match = /(?:^|\s)Default:?\s+((?:[^.]|\.(?=\S))+)\.?(?=\s|$)/.exec(comment)
  if (!match) return { text: comment }
  const before = comment.slice(0, match.index)
  const after = comment.slice(match.index + match[0].length)
  return { text: `${before}${after}`.trim(), fallback: match[1] as string }
}

/** Of values that a comment can say literally: numbers, texts in quotes, true and false. */
export function contradicts(said: string, real: unknown): boolean {
  if (real === undefined) return false
  const [, first] = /^([^\s;,]+(?:,\d{3})*)(?:[;,]|$)/.exec(said) ?? []
  if (first === undefined) return false
  if (typeof real === 'string') return /^'/.test(first) && first !== `'${real}'`
  if (typeof real === 'boolean') return /^(true|false)$/.test(first) && first !== String(real)
  const number = Number(first.replaceAll(',', ''))
  return typeof real === 'number' && !Number.isNaN(number) && number !== real
}

/** `isLink`: its own options stand in another table, else below it. */
function shownDefault(value: unknown, isLink: boolean): string {
  if (value === undefined) return 'none'
  const isEmpty = typeof value === 'object' && value !== null && Object.keys(value).length === 0
  if (!isEmpty) return JSON.stringify(value)
  return Array.isArray(value) ? 'none' : isLink ? 'as there' : 'as below'
}

function mayBe(place: JsonSchema): string {
  const words = expectedBy(place)
  const isPlainList = place.items !== undefined && Object.keys(propertiesOf(place.items)).length === 0
  return cell(
    words === 'something else'
      ? 'anything'
      : isPlainList
        ? `${words}, each ${mayBe(place.items as JsonSchema)}`
        : words,
  )
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll(/\s+/g, ' ').replaceAll('<', '&lt;')
}

/** As GitHub makes it. */
function anchorOf(title: string): string {
  return title
    .toLowerCase()
    .replaceAll(/[^\w\- ]/g, '')
    .replaceAll(' ', '-')
}

function errorsPage(): string {
  const rows = Object.entries(errorCodes).map(([code, meaning]) => `| \`${code}\` | ${cell(meaning)} |`)
  return `# Errors

${note}

Every error that hdpo itself raises is an HdpoError. Its \`code\` is one of these and stays the same from one version to the next,
where the words of its message may change; \`cause\` is the error behind it, where there is one. The command line prints the message
alone; with HDPO_DEBUG=1 in the environment it prints the stack too.

An InvalidOptionError is an HdpoError with the code ERR_OPTION. Its \`option\` is the path of the option, as in 'loss.clipLow', its
\`expected\` what is allowed, its \`given\` what was passed (a secret is described, never shown). [options.md](options.md) has all options.

| code | what it means, and what helps |
| --- | --- |
${rows.join('\n')}
`
}

function configPage(): string {
  const paths = {
    policy: './Qwen3-0.6B',
    tasks: 'questions.jsonl',
    tools: ['./tools.ts'],
    traces: 'traces.jsonl',
  }
  const configs = starterNames.map(
    (name) => `## ${name}.yaml\n\n\`\`\`yaml\n${starterConfig(name, paths, { isTiny: false })}\`\`\``,
  )
  return `# Configs

${note}

One commented config for each command that takes one. \`hdpo init\` writes them into a project with the model, questions, tools and
conversations that it finds there (\`sft.yaml\` and \`curate.yaml\` where it finds conversations); \`hdpo demo-model demo-model\` makes a tiny model to
try your own tools with before anything is downloaded: a million parameters, 2 MB, cold-started on the quickstart's questions. For a tiny model
\`hdpo init\` writes higher learning rates and leaves out the adapter. A config may also be a TypeScript module with a default export.

All keys are in [options.md](options.md); a mistake in a config is named with its key before any work starts. The run folder keeps the config as \`config.yaml\`.

${configs.join('\n\n')}
`
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { pages, missing } = generatePages()
  for (const [path, text] of Object.entries(pages)) writeFileSync(join(root, path), text)
  for (const line of missing) console.error(line)
  process.exitCode = missing.length === 0 ? 0 : 1
}
