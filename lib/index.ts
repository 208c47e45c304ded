// The public API of hdpo, by name. What is not here may change from one version to the next.

// Policies: model, tokenizer and chat template in one folder.
export { HdpoError } from './core/errors.js'
// Secrets stay out of what is written and of what a policy reads.
export { addSecret, addSecretVariables, redact } from './core/secrets.js'
// Training and evaluation.
export { type CurateOptions, type CurationSummary, curate } from './curation/curate.js'
// An agent of your own, for `hdpo eval --agent`.
export type { AgentQuestion, AgentReply, EvaluatedAgent } from './evaluation/agent-rollout.js'
export {
  type EvaluateOptions,
  type Evaluation,
  type EvaluationSummary,
  evaluate,
  measureKnown,
} from './evaluation/evaluate.js'
export type { Knowledge } from './evaluation/knowledge.js'
// Tasks and data sets.
export { type AtlasOptions, createAtlas } from './families/atlas/atlas.js'
export { type CitiesOptions, createCities } from './families/cities/cities.js'
export type { TaskFamily } from './families/task-family.js'
// The algorithm and its kernels.
export { assignAdvantages } from './hdpo/algorithms.js'
export { type AlgorithmName, type AlgorithmOptions, algorithmNames } from './hdpo/options.js'
export type { ListenOptions } from './http/listen.js'
// Where metrics go, beside the run folder.
export { type MlflowOptions, mlflow } from './loggers/mlflow.js'
export { type PrometheusLogger, type PrometheusOptions, prometheus } from './loggers/prometheus.js'
export { type TensorBoardOptions, tensorBoard } from './loggers/tensorboard.js'
export type { LoggedRun, RunLogger, RunOutcome } from './loggers/types.js'
export {
  type GroupAdvantages,
  type GroupAdvantagesInput,
  kernels,
  type LinearPolicyLossInput,
  type PolicyLossInput,
} from './native/kernels.js'
export type {
  Aggregation,
  Device,
  GenerationPrecision,
  GenerationStats,
  LinearPolicyLossResult,
  LoraOptions,
  LoraTargetModule,
  MemoryPlan,
  ModelConfig,
  OptimizerOptions,
  PackedSequences,
  PolicyBatch,
  PolicyLossOptions,
  PolicyLossResult,
  Precision,
  ProfileEntry,
  RopeScaling,
  StepResult,
} from './native/types.js'
export { type ChatTemplateSource, createChatTemplate } from './policy/chat-template.js'
export type { LoraSettings } from './policy/lora-options.js'
export type { TrainingRecord } from './policy/model-card.js'
export { Policy, type PolicyDefinition, type PolicyOptions, type SaveOptions } from './policy/policy.js'
export { loadTokenizer, readTokenizerFiles, type TokenizerFiles } from './policy/tokenizer.js'
export type {
  ChatTemplate,
  Message,
  RolloutPolicy,
  Sample,
  SamplingOptions,
  Sequence,
  Tokenizer,
  ToolCall,
  ToolDescription,
  ToolFormat,
} from './policy/types.js'
// Rewards.
export {
  type AnswerNoiseOptions,
  type AnswerReward,
  type AnswerScore,
  type ExactMatchOptions,
  exactMatch,
  type JsonSchemaMatchOptions,
  jsonSchemaMatch,
  type LlmJudge,
  type LlmJudgeOptions,
  llmJudge,
  type NumericMatchOptions,
  noisyAnswer,
  numericMatch,
  type RegexMatchOptions,
  type RewardOptions,
  regexMatch,
  reportedOutcome,
  Ungraded,
  ungraded,
  type VerifierOptions,
  verifier,
} from './rewards/rewards.js'
export { type GroupOptions, type RunGroup, runGroup } from './rollout/group.js'
export type { RolloutOptions } from './rollout/options.js'
// Rollouts: one rollout, a group of one prompt's, or an agent of your own against a served policy.
export { type RunRolloutOptions, runRollout } from './rollout/run-rollout.js'
export type {
  Outcome,
  Rollout,
  ScoredRollout,
  Task,
  TokenSequence,
  ToolCallOutcome,
  ToolCallRecord,
  UngradedRollout,
} from './rollout/types.js'
export { type ExportOptions, exportRun } from './run/export/export-run.js'
export {
  type Agent,
  type AgentContext,
  type AgentRolloutsOptions,
  agentRollouts,
} from './server/agent-rollouts.js'
export {
  type AgentServer,
  createServer,
  type RolloutHandle,
  type StartRolloutOptions,
} from './server/create-server.js'
export type { ServerOptions } from './server/server-options.js'
export { jsonl } from './tasks/jsonl.js'
export { type OpenTasks, type OpenTasksOptions, openTasks } from './tasks/open-tasks.js'
export { parquetRows } from './tasks/parquet.js'
export type { TaskList } from './tasks/task-list.js'
// Tools: plain functions, those of others, sandboxed code, search.
export { type AiSdkOptions, type AiSdkTool, fromAiSdk } from './tools/ai-sdk.js'
export { calculator } from './tools/calculator.js'
export { defineTool } from './tools/define-tool.js'
export { javascriptTool } from './tools/javascript.js'
export { connectMcp, type McpConnection, type McpOptions, type McpServer } from './tools/mcp.js'
export { pythonTool } from './tools/python.js'
export type { CodeTool } from './tools/sandbox/code-tool.js'
export type { SandboxOptions } from './tools/sandbox/options.js'
export {
  buildTextIndex,
  type DocumentFields,
  type SearchResult,
  type SearchToolOptions,
  searchTool,
  type TextDocument,
  type TextIndex,
  type TextIndexOptions,
} from './tools/text-search.js'
export { ToolInputError } from './tools/tool-input-error.js'
export { type ToolImage, ToolOutput } from './tools/tool-output.js'
export { ToolTimeoutError } from './tools/tool-timeout-error.js'
export type { FinishedToolCall, Tool, ToolContext } from './tools/types.js'
export { type WebSearchOptions, type WebSearchProvider, webSearchTool } from './tools/web-search.js'
export {
  type ReadConversations,
  type ReadConversationsOptions,
  readConversations,
} from './traces/read-conversations.js'
export type { StepMetrics, SupervisedMetrics } from './trainer/metrics.js'
export {
  type RecordedRollouts,
  type RecordedRolloutsOptions,
  recordedRollouts,
} from './trainer/recorded-rollouts.js'
export type { RunOptions } from './trainer/run-loop.js'
export type { TrainerOptimizerOptions } from './trainer/schedule.js'
export type { Conversation, SupervisedTrainerOptions } from './trainer/supervised-options.js'
export { type SupervisedStep, SupervisedTrainer } from './trainer/supervised-trainer.js'
export type { TrainablePolicy } from './trainer/trainable-policy.js'
export { type AssignedRollout, Trainer, type TrainerStep } from './trainer/trainer.js'
export type { TrainerEvaluation, TrainerOptions } from './trainer/trainer-options.js'
export { startUi, type UiOptions, type UiServer } from './ui/ui-server.js'
