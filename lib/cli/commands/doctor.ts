// hdpo doctor: what this machine has, and whether the native kernels compute correct results.
import { statfs } from 'node:fs/promises'
import { availableParallelism, cpus, freemem, totalmem } from 'node:os'
import { type Command, Option } from 'commander'
import { type CudaStatus, fromNative, loadAddon } from '../../native/addon.js'
import { addonPath } from '../../native/addon-path.js'
import { examples } from '../terminal/examples.js'
import { formatSelfTest, passed } from './self-test.js'

interface Finding {
  name: string
  value: string
  ok: boolean
}

interface DoctorFlags {
  json?: boolean
  selfTest?: boolean
  device: 'cpu' | 'cuda'
  timed: boolean
}

export function addDoctorCommand(program: Command): void {
  program
    .command('doctor')
    .description('show what this machine has and check the native kernels')
    .addOption(new Option('--self-test', 'run every op of a device beside a reference, and time it'))
    .addOption(new Option('--device <name>', 'of the self-test').choices(['cpu', 'cuda']).default('cpu'))
    .addOption(new Option('--no-timed', 'a self-test without times'))
    .addOption(new Option('--json', 'print JSON'))
    .addHelpText(
      'after',
      examples('hdpo doctor', 'hdpo doctor --json', 'hdpo doctor --self-test --device cuda'),
    )
    .action(async (flags: DoctorFlags) => {
      const healthy = flags.selfTest ? await printSelfTest(flags) : await printFindings(flags)
      if (!healthy) process.exitCode = 1
    })
}

async function printFindings({ json }: DoctorFlags): Promise<boolean> {
  const findings = [...(await describeMachine()), ...(await checkAddon())]
  console.log(json ? JSON.stringify(findings, null, 2) : formatFindings(findings))
  return findings.every((finding) => finding.ok)
}

async function printSelfTest({ device, json, timed }: DoctorFlags): Promise<boolean> {
  const report = await fromNative(loadAddon().selfTest(device, timed))
  console.log(json ? JSON.stringify(report, null, 2) : formatSelfTest(report))
  return passed(report)
}

function formatFindings(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map((finding) => finding.name.length))
  const lines = findings.map(
    ({ name, value, ok }) => `${ok ? 'ok  ' : 'FAIL'}  ${name.padEnd(width)}  ${value}`,
  )
  return lines.join('\n')
}

const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`

async function describeMachine(): Promise<Finding[]> {
  const major = Number(process.versions.node.split('.')[0])
  const disk = await statfs(process.cwd())
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
  const { compiler, instructionSet, onednn } = addon.buildInfo()
  const { ops } = await fromNative(addon.checkRules())
  return [
    { name: 'Native addon', value: `${compiler}, ${instructionSet}, ${addonPath()}`, ok: true },
    { name: 'oneDNN', value: onednn, ok: true },
    { name: 'CUDA', value: describeCuda(addon.cudaStatus()), ok: true },
    ...ops.map(({ name, outcome, reason = 'as in float64' }) => ({
      name,
      value: reason,
      ok: outcome === 'passed',
    })),
  ]
}

/** A missing GPU is not reported as a fault: hdpo runs on the CPU. */
export function describeCuda(status: CudaStatus): string {
  const { usable, missing, device, capability, driver, runtime, cublas, graphs, totalBytes, freeBytes } =
    status
  const parts = [
    usable ? device : missing,
    device && `compute capability ${capability}`,
    runtime && `built for CUDA ${runtime}`,
    driver && `driver supports ${driver}`,
    cublas && `cuBLAS ${cublas}`,
    graphs === false && 'no CUDA graphs (HDPO_CUDA_GRAPHS)',
    totalBytes && `${gigabytes(freeBytes ?? 0)} free of ${gigabytes(totalBytes)}`,
  ]
  return parts.filter(Boolean).join('; ')
}
