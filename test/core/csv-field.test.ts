import { expect, it } from 'vitest'
import { csvField } from '../../lib/core/csv-field.js'

it.each([
  ['=HYPERLINK("http://a","b")', `"'=HYPERLINK(""http://a"",""b"")"`],
  ['+1+cmd', "'+1+cmd"],
  ['-2+3', "'-2+3"],
  ['@SUM(A1)', "'@SUM(A1)"],
  ['\t=1', `"'\t=1"`],
  ['\r=1', `"'\r=1"`],
  ['\n=1', `"'\n=1"`],
  ['＝1', "'＝1"],
  ['a;=1', '"a;=1"'],
  ['a,=1', '"a,=1"'],
  ['-', "'-"],
  ['', '""'],
  ['plain = text', 'plain = text'],
  ['-5', '-5'],
  ['+1.5e-3', '+1.5e-3'],
  [-5, '-5'],
  [1e21, '1e+21'],
  [true, 'true'],
  [null, ''],
  [undefined, ''],
])('%j becomes %s', (value, field) => {
  expect(csvField(value)).toBe(field)
})
