// The newest value of every metric of every run in Prometheus's text format, version 0.0.4.
import { prometheusName } from '../loggers/metric-name.js'
import type { OpenRun } from './open-run.js'

interface Gauge {
  help: string
  samples: string[]
}

export function runsExposition(runs: readonly OpenRun[]): string {
  const gauges = new Map<string, Gauge>()
  for (const run of runs) {
    for (const [metric, value] of run.read((store) => store.newestMetrics())) {
      const name = prometheusName(metric)
      const gauge = gauges.get(name) ?? { help: `${metric} of the newest step.`, samples: [] }
      gauge.samples.push(`${name}{run="${escapeLabel(run.id)}"} ${value}\n`)
      gauges.set(name, gauge)
    }
  }
  return [...gauges]
    .map(([name, { help, samples }]) => `# HELP ${name} ${help}\n# TYPE ${name} gauge\n${samples.join('')}`)
    .join('')
}

function escapeLabel(value: string): string {
  return value.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n')
}
