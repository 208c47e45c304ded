// hdpo doctor: what this machine has, and whether the native kernels compute what they should.
import { statfs } from 'node:fs/promises'
import { availableParallelism, cpus, freemem, totalmem } from 'node:os'
import { type Command, Option } from 'commander'
import { loadAddon } from '../native.js'
import { examples } from './examples.js'
import { runSelfChecks } from './self-check.js'

interface Finding {
  name: string
  value: string
  ok: boolean
}

export function addDoctorCommand(program: Command): void {
  program
    .command('doctor')
    .description('show what this machine has and check the native kernels')
    .addOption(new Option('--json', 'print JSON'))
    .addHelpText('after', examples('hdpo doctor', 'hdpo doctor --json'))
    .action(async ({ json }: { json?: boolean }) => {
      const findings = [...(await describeMachine()), ...(await checkAddon())]
      if (json) console.log(JSON.stringify(findings, null, 2))
      else console.log(formatFindings(findings))
      if (findings.some((finding) => !finding.ok)) process.exitCode = 1
    })
}

export function formatFindings(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map((finding) => finding.name.length))
  const lines = findings.map(
    ({ name, value, ok }) => `${ok ? 'ok  ' : 'FAIL'}  ${name.padEnd(width)}  ${value}`,
  )
  return lines.join('\n')
}

async function describeMachine(): Promise<Finding[]> {
  const major = Number(process.versions.node.split('.')[0])
  const disk = await statfs(process.cwd())
  const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`
  const freeDisk = disk.bavail * disk.bsize
  return [
    { name: 'Node.js', value: process.version, ok: major >= 20 },
    { name: 'Platform', value: `${process.platform} ${process.arch}`, ok: true },
    { name: 'Processor', value: cpus()[0]?.model ?? 'unknown', ok: true },
    { name: 'Threads', value: `${availableParallelism()} for this process`, ok: true },
    { name: 'Memory', value: `${gigabytes(freemem())} free of ${gigabytes(totalmem())}`, ok: true },
    { name: 'Disk', value: `${gigabytes(freeDisk)} free in ${process.cwd()}`, ok: freeDisk > 1e9 },
  ]
}

async function checkAddon(): Promise<Finding[]> {
  let addon: ReturnType<typeof loadAddon>
  try {
    addon = loadAddon()
  } catch (error) {
    return [{ name: 'Native addon', value: (error as Error).message, ok: false }]
  }
  const { compiler, instructionSet, onednn, cuda } = addon.buildInfo()
  const checks = await runSelfChecks(addon.kernels)
  return [
    { name: 'Native addon', value: `${compiler}, ${instructionSet}${cuda ? ', CUDA' : ''}`, ok: true },
    { name: 'oneDNN', value: onednn, ok: true },
    ...checks.map(({ name, difference, allowed }) => ({
      name,
      value: `differs from float64 by ${difference.toExponential(1)} (allowed ${allowed.toExponential(0)})`,
      ok: difference <= allowed,
    })),
  ]
}
