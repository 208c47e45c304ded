// Compiles every CUDA kernel for the GPUs that binaries are built for, warnings as errors, and reads ptxas's report: a kernel
// that keeps registers in memory fails. This needs nvcc but no GPU. Reports are kept in build/cuda-kernels and made anew when a
// source has changed.
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { capture, main, root } from './command.mjs'
import { countChecks } from './count-checks.mjs'
import { findNvcc } from './cuda-setting.mjs'

const architectures = ['sm_80', 'sm_90a']
const flags = [
  ...['-std=c++20', '-O3', '--expt-relaxed-constexpr', '-Werror', 'all-warnings'],
  ...['-Xcompiler', '-Wall,-Wextra,-Wno-restrict', '-Xptxas', '-v'],
]

/** The kernels of a report: [{ name, registers, spilledBytes }]. */
export function readReport(text) {
  const kernels = []
  for (const line of text.split('\n')) {
    const entry = /Compiling entry function '(\w+)'/.exec(line)
    if (entry) kernels.push({ name: entry[1], registers: 0, spilledBytes: 0 })
    const kernel = kernels.at(-1)
    const spill = /(\d+) bytes spill stores/.exec(line)
    if (kernel && spill) kernel.spilledBytes = Math.max(kernel.spilledBytes, Number(spill[1]))
    const used = /Used (\d+) registers/.exec(line)
    if (kernel && used) kernel.registers = Number(used[1])
  }
  return kernels
}

// Attention's backward pass in float32 is there for tests and comparisons: models train in bfloat16. Its operands take three
// times the registers, and a few bytes of addresses do not fit beside them.
const cold = { pattern: /(?:4keys|7queries)IfLi/, spilledBytes: 32 }

/** What is wrong with a kernel, or undefined where it passes. */
export function complaint({ name, spilledBytes }) {
  const allowed = cold.pattern.test(name) ? cold.spilledBytes : 0
  if (spilledBytes > allowed) return `${name} spills ${spilledBytes} bytes`
}

const newest = (folder) =>
  Math.max(
    ...readdirSync(join(root, folder))
      .filter((file) => /\.(h|cu)$/.test(file))
      .map((file) => statSync(join(root, folder, file)).mtimeMs),
  )

async function reportOf(nvcc, file, architecture, changed) {
  const folder = join(root, 'build', 'cuda-kernels')
  const report = join(folder, `${file}.${architecture}.txt`)
  if (existsSync(report) && statSync(report).mtimeMs > changed) return readFileSync(report, 'utf8')
  mkdirSync(folder, { recursive: true })
  const cubin = join(folder, `${file}.${architecture}.cubin`)
  const source = join('native', 'cuda', file)
  const args = [...flags, `-arch=${architecture}`, '-I', 'native', '-cubin', source, '-o', cubin]
  const { code, text } = await capture(nvcc, args, { quiet: true })
  if (code !== 0) throw new Error(`${source} does not compile for ${architecture}:\n${text}`)
  writeFileSync(report, text)
  return text
}

/** Counts one test per file and architecture. Without nvcc all are skipped. */
export async function cudaKernels() {
  const files = readdirSync(join(root, 'native', 'cuda')).filter((file) => file.endsWith('.cu'))
  const jobs = files.flatMap((file) => architectures.map((architecture) => ({ file, architecture })))
  const nvcc = findNvcc()?.path
  if (!nvcc) {
    console.log('no nvcc of CUDA 12 or later: CUDA kernels are not compiled')
    return { passed: 0, failed: 0, skipped: jobs.length }
  }
  const changed = Math.max(...['native/cuda', 'native/core', 'native/ops'].map(newest))
  return countChecks(jobs, (job) => checkFile(nvcc, job, changed))
}

async function checkFile(nvcc, { file, architecture }, changed) {
  try {
    const kernels = readReport(await reportOf(nvcc, file, architecture, changed))
    const complaints = kernels.map(complaint).filter(Boolean)
    const most = Math.max(0, ...kernels.map((kernel) => kernel.registers))
    console.log(
      `${file.padEnd(22)} ${architecture.padEnd(7)} ${kernels.length} kernels, at most ${most} registers`,
    )
    for (const text of complaints) console.error(`  ${text}`)
    // A file may have no kernels. A report without kernels, for a file with some, means that it was not understood.
    const source = readFileSync(join(root, 'native', 'cuda', file), 'utf8')
    return complaints.length === 0 && kernels.length > 0 === /__global__|softmax_loss\.h/.test(source)
  } catch (error) {
    console.error(error.message)
    return false
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  main(async () => {
    if ((await cudaKernels()).failed > 0) process.exitCode = 1
  })
}
