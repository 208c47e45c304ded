// What the command writes to standard error: mistakes are shown with what was given, which may be a secret.
import { redact } from '../../core/redact.js'
import { isSecretName } from '../../core/secret-names.js'

/** From now on standard error of this process shows no secret, whoever writes to it. */
export function redactStandardError(): void {
  const write = process.stderr.write.bind(process.stderr) as (...given: unknown[]) => boolean
  const redacted = (chunk: unknown, ...rest: unknown[]) =>
    write(typeof chunk === 'string' ? withoutSecrets(chunk) : chunk, ...rest)
  process.stderr.write = redacted as typeof process.stderr.write
}

/** A value that is given to a flag whose name says that it is a secret is one, known or not. */
export function withoutSecrets(text: string): string {
  const hide = (whole: string, before: string, flag: string, between: string, after: string) =>
    isSecretName(flag) ? `${before}${flag}${between}[redacted]${after}` : whole
  return redact(text)
    .replace(/(--?)([\w-]+)(=)[^\s']+('?)/g, hide)
    .replace(/(option '(?:-\w, )?--)([\w-]+)([^']*' argument ')[^']*(')/g, hide)
}
