import { execFileSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { expect, it } from 'vitest'
import { strftimeNow } from '../../lib/policy/strftime-now.js'

const march = new Date(2026, 2, 4, 5, 6, 7)

it('writes what chat templates ask for', () => {
  expect(strftimeNow('%d %b %Y', march)).toBe('04 Mar 2026')
  expect(strftimeNow('%A, %B %d, %Y %H:%M:%S, %m, %a, 100%%', march)).toBe(
    'Wednesday, March 04, 2026 05:06:07, 03, Wed, 100%',
  )
  expect(() => strftimeNow('%Q', march)).toThrow('strftime_now: %Q is not supported')
})

it('is English whatever the language of the process, in a template too', () => {
  const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href
  const source = new URL('../../lib/policy/', import.meta.url)
  const script = `
    import { readFileSync } from 'node:fs'
    import { createChatTemplate } from '${new URL('chat-template.ts', source)}'
    import { loadTokenizer } from '${new URL('tokenizer.ts', source)}'
    const path = new URL('../families/atlas/tokenizer.json', '${source}')
    const tokenizer = loadTokenizer({ tokenizer: JSON.parse(readFileSync(path, 'utf8')) })
    const template = '{{ strftime_now("%b %B") }}{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}'
    const tokens = createChatTemplate({ template }, tokenizer).prompt([{ role: 'user', content: '' }], [])
    console.log(new Intl.DateTimeFormat().resolvedOptions().locale, tokenizer.decode(tokens))`
  const said = execFileSync(process.execPath, ['--import', tsx, '--input-type=module', '--eval', script], {
    encoding: 'utf8',
    env: { ...process.env, LC_ALL: 'ja_JP.UTF-8' },
  })
  expect(said.trim()).toBe(`ja-JP ${strftimeNow('%b %B')}<|im_end|>`)
})
