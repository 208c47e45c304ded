// The documentation's links lead to what exists: pages, headings in them, files of the code.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { describe, expect, it } from 'vitest'

const root = join(import.meta.dirname, '..')

const pages = ['.', 'docs', 'bench', 'examples/ai-sdk-agent', 'examples/mcp-tools'].flatMap((folder) =>
  readdirSync(join(root, folder))
    .filter((name) => name.endsWith('.md'))
    .map((name) => normalize(join(folder, name))),
)

const read = (page: string): string => readFileSync(join(root, page), 'utf8')

/** A page without its code blocks, in which a `#` is no heading and `[a](b)` no link. */
const prose = (page: string): string => read(page).replace(/^```[\s\S]*?^```/gm, '')

/** The anchor that GitHub gives a heading: 'An agent of your own' -> 'an-agent-of-your-own'. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{Letter}\p{Number} _-]/gu, '')
    .replaceAll(' ', '-')
}

function anchors(page: string): string[] {
  return [...prose(page).matchAll(/^#+ (.*)$/gm)].map(([, heading]) => anchorOf(heading as string))
}

/** Targets of links and images that are not on the web, with their paths from the root. */
function links(page: string): { target: string; path: string; anchor: string | undefined }[] {
  return [...prose(page).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target]) => target as string)
    .filter((target) => !/^[a-z]+:/.test(target))
    .map((target) => {
      const [path, anchor] = target.split('#') as [string, string | undefined]
      return { target, path: path === '' ? page : normalize(join(dirname(page), path)), anchor }
    })
}

describe.each(pages)('%s', (page) => {
  it('links to files that exist', () => {
    const missing = links(page).filter(({ path }) => !existsSync(join(root, path)))
    expect(missing.map(({ target }) => target)).toEqual([])
  })

  it('links to headings that exist', () => {
    const missing = links(page).filter(
      ({ path, anchor }) =>
        anchor !== undefined &&
        path.endsWith('.md') &&
        !(existsSync(join(root, path)) && anchors(path).includes(anchor)),
    )
    expect(missing.map(({ target }) => target)).toEqual([])
  })

  it('names files and folders of the code that exist', () => {
    const named = [...prose(page).matchAll(/`((?:lib|native|test|examples|scripts|docs|bench)\/[\w./-]*)`/g)]
    const missing = named.map(([, path]) => path as string).filter((path) => !existsSync(join(root, path)))
    expect(missing).toEqual([])
  })
})

it('has every page of docs/ in the index', () => {
  const linked = links('docs/README.md').map(({ path }) => path)
  const all = pages.filter((page) => page.startsWith('docs/') && page !== 'docs/README.md')
  expect(all.filter((page) => !linked.includes(page))).toEqual([])
})

it('finds what is not there', () => {
  expect(anchors('docs/algorithm.md')).toContain('two-advantages')
  expect(anchorOf('Options of `Policy.load` and keys of the YAML')).toBe(
    'options-of-policyload-and-keys-of-the-yaml',
  )
  expect(links('README.md').length).toBeGreaterThan(5)
})
