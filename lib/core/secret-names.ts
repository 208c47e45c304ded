// Which environment variables and options hold secrets, judged by their names, and the passwords inside addresses.

// Shorter values would be found inside ordinary words.
export const shortestSecret = 8

// Words of a name, which underscores separate; the second line takes words that end so, as PGPASSWORD and GITHUBTOKEN do.
const secretName = new RegExp(
  String.raw`(?:^|_)(?:API_?KEYS?|KEYS?|AUTH|AUTHORIZATION|BEARER|PASS|PAT|JWT|COOKIES?|DSN|(?:DB|FTP|MYSQL|PG|REDIS|SMTP)PASS|(?!OLD)\w+_PWD)(?:_|$)` +
    `|(?:TOKEN|SECRETS?|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|APIKEY)(?:_|$)`,
  'i',
)

// Their values may be addresses with a password in them.
const addressName = /(?:^|_)(?:UR[IL]|DSN|DATABASE|CONNECTION|CONN|STRING|BROKER|PROXY)(?:_|$)|URL$/i

/** Names of the environment variables that hold a secret, judged by name. */
export function secretVariables(environment: NodeJS.ProcessEnv = process.env): string[] {
  return Object.keys(environment).filter((name) => isSecretName(name) && isLongEnough(environment[name]))
}

/** Whether a variable or an option of this name holds a secret, as far as the name tells: API_KEY, apiKey, PGPASSWORD. */
export function isSecretName(name: string): boolean {
  return secretName.test(name.replaceAll(/([a-z0-9])([A-Z])/g, '$1_$2').replaceAll('-', '_'))
}

/** The values of secret variables, and the passwords in addresses and connection strings. */
export function secretsIn(environment: NodeJS.ProcessEnv): string[] {
  return Object.keys(environment).flatMap((name) => {
    const isAddress = addressName.test(name)
    if (!isAddress && !isSecretName(name)) return []
    const value = environment[name] ?? ''
    return [...(isSecretName(name) ? [value] : []), ...passwordsIn(value)].filter(isLongEnough)
  })
}

export function isLongEnough(value: unknown): boolean {
  return typeof value === 'string' && value.trim().length >= shortestSecret
}

/** 'postgres://me:password@host', 'host=a password=b', 'Server=a;Pwd=b'; of the first also the password without its escapes. */
function passwordsIn(text: string): string[] {
  const inAddress = /^[a-z][a-z0-9+.-]*:\/\/[^\s/:@]*:([^\s/]+)@/i.exec(text)?.[1]
  const named = /(?:^|[\s;?&])(?:password|pwd)=(?:"([^"]+)"|'([^']+)'|([^\s;&]+))/i.exec(text)
  const found = [inAddress, named?.[1] ?? named?.[2] ?? named?.[3]].filter(
    (password) => password !== undefined,
  )
  return found.flatMap((password) => [password, unescaped(password)])
}

function unescaped(password: string): string {
  try {
    return decodeURIComponent(password)
  } catch {
    // A percent sign that is no escape: the password stands there as it is.
    return password
  }
}
