// @ts-check
// A hook for Node's loader: a user's .ts or .js module that is written with import or export is one, whatever "type" its package.json
// has. Otherwise it would become CommonJS, which cannot require hdpo. It runs in the loader's own thread.
import { readFile } from 'node:fs/promises'

/**
 * @param {string} url
 * @param {{ format?: string | null | undefined }} context
 * @param {(url: string, context: object) => unknown} nextLoad
 */
export async function load(url, context, nextLoad) {
  return nextLoad(url, (await isModule(url)) ? { ...context, format: 'module' } : context)
}

/** @param {string} url */
async function isModule(url) {
  if (!url.startsWith('file:') || url.includes('/node_modules/')) return false
  const { pathname } = new URL(url)
  if (!/\.[jt]s$/.test(pathname)) return false
  const text = await readFile(new URL(`file://${pathname}`), 'utf8').catch(() => '')
  return /^\s*(?:import\s*[\w{*'"]|export\s*[\w{*])/m.test(text)
}
