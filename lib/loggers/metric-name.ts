/** The Prometheus name of a metric: 'seconds/rollout', 'tokensPerSecond' -> hdpo_seconds_rollout, hdpo_tokens_per_second. */
export function prometheusName(metric: string): string {
  const words = metric.replace(/([a-z0-9])([A-Z])/g, '$1_$2').replace(/[^A-Za-z0-9]+/g, '_')
  return `hdpo_${words.toLowerCase()}`
}
