// Compiles the CPU kernels that block registers by hand to assembly, for processors with 16 and with 32
// vector registers, and reads it: a kernel fails when a loop of multiply-adds stores a vector to the stack.
// Nothing is run, so any x86-64 machine can check both.
import { readFileSync } from 'node:fs'
import { arch } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { capture, main, root } from './command.mjs'
import { countChecks } from './count-checks.mjs'

const architectures = ['x86-64-v3', 'sapphirerapids']
const files = [
  'attention.cpp',
  'cached_attention.cpp',
  'packed_bfloat16.cpp',
  'packed_int8.cpp',
  'packed_matmul.cpp',
]

// Mangled names of the kernels, which are [[gnu::noinline]]: what they hold in registers does not depend on who calls them.
const kernel =
  /\d(?:run|scoreBlocks?|weightedBlock|transposedBlock|weighColumns|softmaxBlock|gradientBlock|softmax)(?:I|E)/
const multiplyAdd = /^v?(?:fn?madd\w*ps|dpbf16ps|pdpbusd|pmaddwd|mulps)$/

/** The functions of an assembly listing: [{ name, lines }]. */
function functionsOf(assembly) {
  const functions = []
  for (const line of assembly.split('\n')) {
    const start = /^\t\.type\t(\S+), @function/.exec(line)
    if (start) functions.push({ name: start[1], lines: [] })
    else functions.at(-1)?.lines.push(line.trim())
  }
  return functions
}

/** Instructions between a label and a jump back to it, with no other jump back between: [{ label, lines }]. */
function innermostLoops(lines) {
  const labels = new Map()
  const loops = []
  for (const [index, line] of lines.entries()) {
    const label = /^(\.L\d+):/.exec(line)
    if (label) labels.set(label[1], index)
    const jump = /^j\w+\s+(\.L\d+)$/.exec(line)
    if (!jump || !labels.has(jump[1])) continue
    const begin = labels.get(jump[1])
    if (!loops.some((inner) => inner.begin >= begin)) loops.push({ begin, end: index, label: jump[1] })
  }
  return loops.map(({ begin, end, label }) => ({ label, lines: lines.slice(begin + 1, end) }))
}

/** Stores of whole vectors to the stack in loops of multiply-adds: [{ name, label, instruction }]. */
export function spills(assembly) {
  const found = []
  for (const { name, lines } of functionsOf(assembly).filter(({ name }) => kernel.test(name))) {
    // Where the stack is aligned for vectors, %rbp holds its frame; elsewhere %rbp is a register like others.
    const frame = lines.some((line) => /^movq\s+%rsp, %rbp$/.test(line)) ? '%rs?[bs]p' : '%rsp'
    const store = new RegExp(`^v?mov\\w+\\s+%[xyz]mm\\d+, -?\\d*\\((?:${frame})\\)`)
    for (const loop of innermostLoops(lines)) {
      if (!loop.lines.some((line) => multiplyAdd.test(line.split('\t')[0]))) continue
      const instruction = loop.lines.find((line) => store.test(line) && !/^v?movs[sd]\b/.test(line))
      if (instruction) found.push({ name, label: loop.label, instruction })
    }
  }
  return found
}

/** How many loops of multiply-adds the kernels of a listing have. */
export function multiplyAddLoops(assembly) {
  return functionsOf(assembly)
    .filter(({ name }) => kernel.test(name))
    .flatMap(({ lines }) => innermostLoops(lines))
    .filter(({ lines }) => lines.some((line) => multiplyAdd.test(line.split('\t')[0]))).length
}

async function check({ file, architecture }) {
  const source = join('native', 'cpu', file)
  const shared = readFileSync(join(root, 'native', 'compile-flags.txt'), 'utf8')
    .trim()
    .split('\n')
  const flags = ['-std=c++20', '-O3', '-DNDEBUG', ...shared, `-march=${architecture}`, '-I', 'native']
  const { code, text } = await capture('c++', [...flags, '-S', '-o', '-', source], { quiet: true })
  if (code !== 0) {
    console.error(`${source} does not compile for ${architecture}:\n${text}`)
    return false
  }
  const loops = multiplyAddLoops(text)
  const found = spills(text)
  console.log(`${file.padEnd(22)} ${architecture.padEnd(15)} ${loops} loops of multiply-adds`)
  for (const { name, label, instruction } of found) console.error(`  ${name} ${label}: ${instruction}`)
  // No loop at all would mean that the listing was not understood.
  return found.length === 0 && loops > 0
}

/** Counts one test per file and kind of processor. */
export function cpuKernels() {
  const jobs = files.flatMap((file) => architectures.map((architecture) => ({ file, architecture })))
  if (arch() !== 'x64') {
    console.log(`not x86-64 but ${arch()}: assembly is not read`)
    return { passed: 0, failed: 0, skipped: jobs.length }
  }
  return countChecks(jobs, check)
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  main(async () => {
    if ((await cpuKernels()).failed > 0) process.exitCode = 1
  })
}
