import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createProgram, describeError } from '../../lib/cli/program.js'
import { HdpoError } from '../../lib/core/errors.js'
import { writeRun } from '../run/store/recorded-run.js'

describe('hdpo', () => {
  const program = createProgram()

  it('has its commands', () => {
    expect(program.commands.map((command) => command.name())).toEqual([
      'quickstart',
      'init',
      'demo-model',
      'curate',
      'sft',
      'train',
      'eval',
      'compare',
      'chat',
      'serve',
      'ui',
      'export',
      'inspect',
      'convert',
      'doctor',
      'build',
    ])
  })

  it.each(program.commands.map((command) => [command.name(), command] as const))(
    '%s --help has an example',
    (name, command) => {
      let help = ''
      command.configureOutput({ writeOut: (text) => (help += text) })
      command.outputHelp()
      expect(help).toMatch(new RegExp(`Examples:\n  \\$ hdpo ${name}`))
    },
  )

  it('knows the version of the package', () => {
    expect(program.version()).toMatch(/^\d+\.\d+\.\d+/)
  })
})

describe('describeError', () => {
  it("shows a user's mistake as its message and anything else with its stack", () => {
    expect(describeError(new HdpoError('ERR_CONFIG', 'run.yaml: steps is missing'))).toBe(
      'run.yaml: steps is missing',
    )
    for (const unexpected of [
      new Error('unexpected'),
      new TypeError('x is not a function'),
      new HdpoError('ERR_INTERNAL', 'unexpected'),
    ]) {
      expect(describeError(unexpected)).toContain('program.test.ts')
    }
  })

  const fails = (work: () => unknown) => {
    try {
      return work()
    } catch (error) {
      return error
    }
  }
  it.each<[string, () => unknown, string]>([
    [
      'a file that is not there',
      () => readFileSync('/no/such/file'),
      'cannot open /no/such/file: there is no such file or folder (ENOENT)',
    ],
    ['a folder as a file', () => readFileSync('/'), 'cannot read: it is a folder, not a file (EISDIR)'],
    [
      'a file as a folder',
      () => mkdirSync(join(import.meta.filename, 'x')),
      `cannot make the folder ${join(import.meta.filename, 'x')}: a part of the path is a file, not a folder (ENOTDIR)`,
    ],
    [
      'what is there already',
      () => mkdirSync(import.meta.dirname),
      `cannot make the folder ${import.meta.dirname}: it is there already (EEXIST)`,
    ],
    [
      'a full disk',
      () =>
        Object.assign(new Error('ENOSPC: no space left on device, write'), {
          code: 'ENOSPC',
          syscall: 'write',
          path: '/runs/a',
        }),
      'cannot write /runs/a: the disk is full (ENOSPC)',
    ],
    [
      'too many files',
      () => Object.assign(new Error('EMFILE'), { code: 'EMFILE', syscall: 'open', path: '/runs/a' }),
      'cannot open /runs/a: this process has too many files open (raise ulimit -n) (EMFILE)',
    ],
    [
      'a name that is taken',
      () => Object.assign(new Error('EXDEV'), { code: 'EXDEV', syscall: 'rename', path: '/a', dest: '/b' }),
      'cannot rename /a as /b: it is on another disk (EXDEV)',
    ],
    [
      'nobody there',
      () =>
        Object.assign(new Error('x'), {
          code: 'ECONNREFUSED',
          syscall: 'connect',
          address: '127.0.0.1',
          port: 9,
        }),
      'cannot connect to 127.0.0.1:9: nobody listens there (ECONNREFUSED)',
    ],
  ])('says in one line what the system refused: %s', (_, work, line) => {
    expect(describeError(fails(work))).toBe(line)
  })
})

describe('hdpo, run', () => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'hdpo-program-'))
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  /** What a failing command prints. */
  const failure = async (...words: string[]): Promise<string> => {
    const error: unknown = await createProgram()
      .parseAsync(words, { from: 'user' })
      .then(
        () => undefined,
        (reason: unknown) => reason,
      )
    expect(error).toBeInstanceOf(Error)
    return describeError(error)
  }
  const config = (output: string) => {
    const path = join(folder, 'train.json')
    const algorithm = { name: 'hdpo' }
    const sizes = { groupSize: 2, promptsPerStep: 1, steps: 1, optimizer: { learningRate: 1e-4 } }
    writeFileSync(path, JSON.stringify({ policy: folder, environment: 'atlas', output, algorithm, ...sizes }))
    return path
  }

  it('names a config that is not there', async () => {
    const path = join(folder, 'absent.yaml')
    expect(await failure('train', path)).toBe(`cannot read ${path}: there is no such file or folder (ENOENT)`)
  })

  it('names a folder that was given as a config', async () => {
    const path = join(folder, 'folder.yaml')
    mkdirSync(path)
    expect(await failure('train', path)).toBe(`cannot read ${path}: it is a folder, not a file (EISDIR)`)
  })

  it('names an export that cannot be written', async () => {
    const run = join(folder, 'run')
    await writeRun(run, 1)
    const output = join(folder, 'absent', 'metrics.csv')
    expect(await failure('export', run, '--table', 'metrics', '--format', 'csv', '--output', output)).toBe(
      `cannot access ${join(folder, 'absent')}: there is no such file or folder (ENOENT)`,
    )
  })

  it('names an output whose path leads through a file', async () => {
    const file = join(folder, 'file')
    writeFileSync(file, '')
    expect(await failure('train', config(join(file, 'run')))).toBe(
      `cannot make the folder ${join(file, 'run')}: a part of the path is a file, not a folder (ENOTDIR)`,
    )
  })

  it.each(['--output', '--rollouts'])('eval looks at %s before anything is asked', async (option) => {
    // The folder of the policy holds none: whoever looked for it first would complain of that.
    const words = ['eval', folder, '--environment', 'atlas', option]
    expect(await failure(...words, join(folder, 'absent', 'result.json'))).toMatch(
      /absent: there is no such file or folder \(ENOENT\)$/,
    )
    const taken = join(folder, 'taken')
    mkdirSync(taken, { recursive: true })
    expect(await failure(...words, taken)).toBe(`cannot open ${taken}: it is a folder, not a file (EISDIR)`)
  })

  it.each(['train', 'sft', 'curate'])('%s looks at its output before anything is loaded', async (command) => {
    const output = join(folder, `held-${command}`)
    mkdirSync(output)
    writeFileSync(join(output, 'metrics.jsonl'), '{"step":1}\n')
    writeFileSync(join(output, 'rl.jsonl'), '')
    const path = join(folder, `${command}.json`)
    const optimizer = { learningRate: 1e-4 }
    const own = {
      train: { algorithm: { name: 'hdpo' }, groupSize: 2, promptsPerStep: 1, steps: 1, optimizer },
      sft: { tokensPerStep: 1, optimizer },
      curate: {},
    }[command]
    // The folder of the policy holds none: whoever looked for it first would complain of that.
    writeFileSync(path, JSON.stringify({ policy: folder, environment: 'atlas', output, ...own }))
    expect(await failure(command, path)).toMatch(
      new RegExp(`^output: ${output} already holds a (run|curation); resume it`),
    )
  })

  it.skipIf(process.getuid?.() === 0)('names an output that may not be written', async () => {
    const closed = join(folder, 'closed')
    mkdirSync(closed, { mode: 0o500 })
    expect(await failure('train', config(join(closed, 'run')))).toBe(
      `cannot make the folder ${join(closed, 'run')}: permission was denied (EACCES)`,
    )
  })
})
