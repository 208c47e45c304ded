// The newest value of every metric of every run, for Prometheus.
import { exposition, type Gauge, metricName } from './exposition.js'
import type { OpenRun } from './open-run.js'

export function runsExposition(runs: readonly OpenRun[]): string {
  const gauges = new Map<string, Gauge>()
  for (const { id, store } of runs) {
    for (const [name, value] of store.newestMetrics()) {
      const gauge = gauges.get(name) ?? {
        name: metricName(name),
        help: `${name} of the newest step.`,
        samples: [],
      }
      gauge.samples.push({ labels: { run: id }, value })
      gauges.set(name, gauge)
    }
  }
  return exposition([...gauges.values()])
}
