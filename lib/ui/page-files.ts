// The files of the page: its own, and two libraries from npm. They are listed one by one, so no path of a request reaches the
// file system.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

const require = createRequire(import.meta.url)
const page = join(import.meta.dirname, 'page')
const uplot = join(dirname(require.resolve('uplot')))
const lit = dirname(require.resolve('lit-html'))

const files: Record<string, string> = {
  '/': join(page, 'index.html'),
  '/style.css': join(page, 'style.css'),
  '/tokens.css': join(page, 'tokens.css'),
  '/app.js': join(page, 'app.js'),
  '/charts.js': join(page, 'charts.js'),
  '/curves.js': join(page, 'curves.js'),
  '/format.js': join(page, 'format.js'),
  '/group.js': join(page, 'group.js'),
  '/keys.js': join(page, 'keys.js'),
  '/overview.js': join(page, 'overview.js'),
  '/rollouts.js': join(page, 'rollouts.js'),
  '/state.js': join(page, 'state.js'),
  '/rollout.js': join(page, 'rollout.js'),
  '/library/lit-html.js': join(lit, 'lit-html.js'),
  '/library/uplot.js': join(uplot, 'uPlot.esm.js'),
  '/library/uplot.css': join(uplot, 'uPlot.min.css'),
}

const types: Record<string, string> = { html: 'text/html', css: 'text/css', js: 'text/javascript' }

// Nothing from other origins and no inline scripts: a run's text that looks like markup could not run even if it were not
// escaped.
const securityHeaders = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
}

export function pageFile(path: string): Response | undefined {
  const file = Object.hasOwn(files, path) ? files[path] : undefined
  if (file === undefined) return undefined
  const type = types[file.split('.').pop() as string] as string
  return new Response(readFileSync(file), {
    headers: { 'content-type': `${type}; charset=utf-8`, 'cache-control': 'no-cache', ...securityHeaders },
  })
}
