// strftime_now of chat templates, as transformers has it: the names of months are English whatever the language of this process.
// The template engine's own writes them in that language, so that a prompt would depend on the machine.
import { HdpoError } from '../core/errors.js'

const english = (options: Intl.DateTimeFormatOptions) => {
  const format = new Intl.DateTimeFormat('en-US', options)
  return (now: Date) => format.format(now)
}
const digits = (value: number) => String(value).padStart(2, '0')

const directives: Record<string, (now: Date) => string> = {
  a: english({ weekday: 'short' }),
  A: english({ weekday: 'long' }),
  b: english({ month: 'short' }),
  B: english({ month: 'long' }),
  d: (now) => digits(now.getDate()),
  H: (now) => digits(now.getHours()),
  m: (now) => digits(now.getMonth() + 1),
  M: (now) => digits(now.getMinutes()),
  S: (now) => digits(now.getSeconds()),
  Y: (now) => String(now.getFullYear()),
  '%': () => '%',
}

/** The local time, as C's strftime writes it. Throws ERR_CHAT_TEMPLATE for a directive that it does not know. */
export function strftimeNow(format: string, now = new Date()): string {
  return format.replace(/%(.?)/gs, (directive, letter: string) => {
    if (!Object.hasOwn(directives, letter))
      throw new HdpoError('ERR_CHAT_TEMPLATE', `strftime_now: ${directive} is not supported`)
    return (directives[letter] as (now: Date) => string)(now)
  })
}
