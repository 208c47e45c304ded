// hdpo doctor --self-test: every op of a device beside a reference, with times and shares of the device's peak.
import type { SelfTestOp, SelfTestReport } from '../../native/addon.js'
import { formatTable, percent } from '../terminal/table.js'

export function formatSelfTest(report: SelfTestReport): string {
  const rows = report.ops.map((op) => [
    op.name,
    op.outcome === 'not-implemented' ? 'absent' : op.outcome,
    op.outcome === 'not-implemented' ? '-' : op.error.toExponential(1),
    op.allowed === 0 ? '-' : op.allowed.toExponential(0),
    ...timesOf(op),
  ])
  const header = ['op', 'outcome', 'error', 'allowed', 'time', 'GB/s', 'GFLOP/s', 'of ceiling']
  const reasons = report.ops.flatMap(({ name, reason }) => (reason ? [`${name}: ${reason}`] : []))
  const parts = [[formatTable(header, rows)], ceilingLines(report), reasons, [summaryOf(report)]]
  return parts
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join('\n'))
    .join('\n\n')
}

export function passed(report: SelfTestReport): boolean {
  return report.ops.every(({ outcome }) => outcome !== 'failed')
}

function timesOf({ seconds, bytesPerSecond = 0, flopsPerSecond = 0, shareOfCeiling }: SelfTestOp): string[] {
  if (seconds === undefined) return ['-', '-', '-', '-']
  const rate = (value: number) => (value === 0 ? '-' : (value / 1e9).toFixed(value < 1e10 ? 1 : 0))
  const time = seconds < 1e-3 ? `${(1e6 * seconds).toFixed(1)} us` : `${(1e3 * seconds).toFixed(2)} ms`
  return [time, rate(bytesPerSecond), rate(flopsPerSecond), percent(shareOfCeiling, 0)]
}

function ceilingLines({ ceilings, ops }: SelfTestReport): string[] {
  if (!ceilings) return []
  const { copyBytesPerSecond, float32FlopsPerSecond, bfloat16FlopsPerSecond } = ceilings
  const shape = ops.find((op) => op.shape)?.shape
  return [
    `Ceilings, measured: copy ${(copyBytesPerSecond / 1e9).toFixed(0)} GB/s (read and written), matrix product ` +
      `${(float32FlopsPerSecond / 1e12).toFixed(2)} TFLOP/s float32, ${(bfloat16FlopsPerSecond / 1e12).toFixed(2)} bfloat16.`,
    `Timed at ${shape}; a share above 100% comes from caches. Losses and advantages include copies from and to the host.`,
  ]
}

function summaryOf({ device, ops }: SelfTestReport): string {
  const count = (outcome: SelfTestOp['outcome']) => ops.filter((op) => op.outcome === outcome).length
  return `${device}: ${count('passed')} passed, ${count('failed')} failed, ${count('not-implemented')} not there`
}
