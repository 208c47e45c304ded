export { type ExactMatchOptions, exactMatch } from './exact-match.js'
export { type NumericMatchOptions, numericMatch } from './numeric-match.js'
export { isCorrect, scoreTrajectories } from './score.js'
export type { AnswerReward, AnswerScore, RewardOptions } from './types.js'
