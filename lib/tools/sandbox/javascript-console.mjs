// @ts-check
// The program that gives a QuickJS its console, and the function that shows values. It runs inside, so it is a text.

/**
 * Evaluates to a function of `print`, which takes a text as JSON (a text with a NUL would be cut), and returns one that shows any
 * value as JSON of the shown text. Values are shown as JSON, and what JSON has no form for as the language writes it: NaN, undefined,
 * 3n, Map [[1,2]], Invalid Date. It keeps its own copies of what it calls.
 */
export const consoleProgram = `(function (print) {
  const { Array, Boolean, Date, Error, Map, Number, RegExp, Set, String, parseFloat, parseInt } = globalThis
  const { is, keys: keysOf, prototype: { toString } } = Object
  const { stringify } = JSON
  const { isView } = ArrayBuffer
  const { isArray } = Array
  const deepest = 100
  const longest = 200000
  // What nothing can be read out of as it is.
  const hidden = ['WeakMap', 'WeakSet', 'WeakRef', 'Promise', 'ArrayBuffer', 'SharedArrayBuffer']
  // Characters that may still be shown: a value whose parts are shared would be longer than any memory.
  let room = 0

  const show = (value, open) => {
    switch (typeof value) {
      case 'string': return taken(stringify(value))
      case 'bigint': return taken(value + 'n')
      case 'symbol': return taken(String(value))
      case 'function': return taken('[Function ' + (value.name || 'anonymous') + ']')
      case 'object': return showObject(value, open)
      default: return taken(is(value, -0) ? '-0' : String(value))
    }
  }
  const taken = (text) => {
    room -= text.length + 1
    return text
  }
  const showObject = (value, open) => {
    if (value === null) return taken('null')
    if (open.includes(value)) return taken('[Circular]')
    if (open.length >= deepest || room < 0) return taken(isArray(value) ? '[...]' : '{...}')
    try {
      return showParts(value, [...open, value])
    } catch {
      return taken(toString.call(value))
    }
  }
  const showParts = (value, open) => {
    if (value instanceof Error) return taken(value.name + ': ' + value.message)
    if (value instanceof RegExp) return taken(String(value))
    if (value instanceof Date) return taken(is(value.getTime(), NaN) ? 'Invalid Date' : stringify(value))
    if (value instanceof String || value instanceof Number || value instanceof Boolean) return show(value.valueOf(), open)
    if (value instanceof Map) return 'Map ' + showList([...value], open)
    if (value instanceof Set) return 'Set ' + showList([...value], open)
    if (isArray(value)) return showList(value, open)
    if (isView(value) && typeof value.length === 'number') return value.constructor.name + ' ' + showList(value, open)
    if (typeof value.toJSON === 'function') return show(value.toJSON(), open)
    const kind = toString.call(value).slice(8, -1)
    if (hidden.includes(kind)) return taken('[' + kind + ']')
    const parts = []
    for (const key of keysOf(value)) parts.push(taken(stringify(key)) + ':' + showProperty(value, key, open))
    return '{' + parts.join(',') + '}'
  }
  // A getter that throws costs its own value alone.
  const showProperty = (value, key, open) => {
    let held
    try {
      held = value[key]
    } catch {
      return taken('[Getter throws]')
    }
    return show(held, open)
  }
  const showList = (values, open) => {
    const parts = []
    for (let index = 0; index < values.length && room >= 0; index++) parts.push(show(values[index], open))
    if (parts.length < values.length) parts.push('...')
    return '[' + parts.join(',') + ']'
  }
  const shown = (value) => {
    room = longest
    return show(value, [])
  }

  let indent = ''
  const counts = new Map()
  const write = (text) => print(stringify(indent === '' ? text : indent + text.split('\\n').join('\\n' + indent)))
  const plain = (value) => typeof value === 'string' ? value : shown(value)
  const number = (read) => (value) => typeof value === 'symbol' ? 'NaN' : typeof value === 'bigint' ? value + 'n' : String(read(value))
  // As the console of every browser fills them in; %c styles what is printed elsewhere, and prints nothing.
  const fillers = {
    s: plain, d: number(Number), i: number((value) => parseInt(value, 10)), f: number(parseFloat), j: shown, o: shown, O: shown, c: () => '',
  }
  const filled = (values) => {
    const [first, ...rest] = values
    if (typeof first !== 'string' || rest.length === 0) return values
    let next = 0
    const text = first.replace(/%([sdifjoOc%])/g, (form, letter) =>
      letter === '%' ? '%' : next < rest.length ? fillers[letter](rest[next++]) : form)
    return [text, ...rest.slice(next)]
  }
  const log = (...values) => write(filled(values).map(plain).join(' '))
  const table = (data, columns) => {
    if (typeof data !== 'object' || data === null) return log(data)
    const rows = data instanceof Map ? [...data] : isArray(data) || isView(data) ? Array.from(data, (row, index) => [index, row])
      : data instanceof Set ? [...data].map((row, index) => [index, row]) : keysOf(data).map((key) => [key, data[key]])
    const isRow = (row) => typeof row === 'object' && row !== null
    const names = columns ?? [...new Set(rows.flatMap(([, row]) => isRow(row) ? keysOf(row) : []))]
    const hasValues = columns === undefined && rows.some(([, row]) => !isRow(row))
    const head = ['(index)', ...names, ...(hasValues ? ['Values'] : [])]
    const lines = rows.map(([index, row]) => [
      plain(index),
      ...names.map((name) => isRow(row) && name in row ? plain(row[name]) : ''),
      ...(hasValues ? [isRow(row) ? '' : plain(row)] : []),
    ])
    const widths = head.map((name, column) => Math.max(name.length, ...lines.map((line) => line[column].length)))
    const rule = widths.map((width) => '-'.repeat(width))
    const written = (line) => line.map((cell, column) => cell.padEnd(widths[column])).join(' | ').trimEnd()
    write([head, rule, ...lines].map(written).join('\\n'))
  }
  const count = (label = 'default') => {
    counts.set(label, (counts.get(label) ?? 0) + 1)
    log(label + ': ' + counts.get(label))
  }
  const group = (...labels) => {
    if (labels.length > 0) log(...labels)
    indent += '  '
  }
  const assert = (holds, ...values) => {
    if (!holds) log('Assertion failed' + (values.length > 0 ? ':' : ''), ...values)
  }
  globalThis.console = {
    log, info: log, debug: log, warn: log, error: log, trace: log, dir: (value) => log(value), table, assert, count,
    group, groupCollapsed: group, groupEnd: () => { indent = indent.slice(2) },
  }
  return (value) => stringify(shown(value))
})`
