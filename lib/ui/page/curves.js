// The curves to plot. `channel` selects a series' accent colour; `share` marks values from 0 to 1, shown in per cent.

export const curves = [
  {
    title: 'Accuracy',
    share: true,
    series: [
      { name: 'accuracy', label: 'rollouts', channel: 'accuracy' },
      { name: 'evaluation/accuracy', label: 'held out', sparse: true },
    ],
  },
  {
    title: 'Tool calls per rollout',
    series: [
      { name: 'callsPerRollout', label: 'rollouts', channel: 'efficiency' },
      { name: 'evaluation/callsPerRollout', label: 'held out', sparse: true },
    ],
  },
  {
    title: 'Redundant and needed calls',
    share: true,
    series: [
      { name: 'evaluation/redundantCallRate', label: 'redundant', channel: 'efficiency', sparse: true },
      { name: 'evaluation/neededCallRate', label: 'needed', channel: 'accuracy', sparse: true },
    ],
  },
  {
    title: 'Qualifying ratio',
    share: true,
    series: [
      { name: 'qualifyingRatio', label: 'rollouts', channel: 'efficiency' },
      { name: 'qualifyingGroups', label: 'groups' },
    ],
  },
  {
    title: 'Spread of advantages',
    series: [
      { name: 'accuracyAdvantageSpread', label: 'accuracy', channel: 'accuracy' },
      { name: 'efficiencyAdvantageSpread', label: 'efficiency', channel: 'efficiency' },
    ],
  },
  {
    title: 'Loss',
    series: [
      { name: 'accuracyLoss', label: 'accuracy', channel: 'accuracy' },
      { name: 'efficiencyLoss', label: 'efficiency', channel: 'efficiency' },
    ],
    otherwise: [{ name: 'loss', label: 'loss' }],
  },
  {
    title: 'Clipped tokens',
    share: true,
    series: [
      { name: 'clippedLow', label: 'low' },
      { name: 'clippedHigh', label: 'high' },
      { name: 'dualClipped', label: 'dual' },
    ],
  },
  {
    title: 'Tokens with a gradient',
    share: true,
    series: [{ name: 'pushedTokens', per: 'trainedTokens', label: 'of trained tokens' }],
  },
  { title: 'Entropy', unit: 'nats', series: [{ name: 'entropy', label: 'entropy' }] },
  { title: 'KL to the reference', unit: 'nats', hideZero: true, series: [{ name: 'kl', label: 'KL' }] },
  {
    title: 'Length',
    series: [{ name: 'sampledTokens', per: 'rollouts', label: 'sampled tokens a rollout' }],
  },
  { title: 'Turns', series: [{ name: 'turns', label: 'turns' }] },
  { title: 'Gradient norm', series: [{ name: 'gradientNorm', label: 'norm' }] },
  { title: 'Sampled tokens per second', series: [{ name: 'tokensPerSecond', label: 'tokens/s' }] },
  {
    title: 'Seconds per phase',
    series: [
      { name: 'seconds/rollout', label: 'rollout' },
      { name: 'seconds/train', label: 'train' },
      { name: 'seconds/evaluate', label: 'evaluate' },
      { name: 'seconds/advantages', label: 'advantages' },
    ],
  },
  { title: 'Learning rate', series: [{ name: 'learningRate', label: 'rate' }] },
]

export const curveNames = [
  ...new Set(
    curves.flatMap(({ series, otherwise = [] }) =>
      [...series, ...otherwise].flatMap(({ name, per }) => (per ? [name, per] : [name])),
    ),
  ),
]
