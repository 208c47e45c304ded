// The public API of hdpo, by name; lib/kernels.ts and lib/families.ts are entries of their own. What is in none of the three may
// change from one version to the next. The groups are kept by hand: biome.json keeps the sorter away from this file.

// A policy: model, tokenizer and chat template, read from one folder.
export { Policy } from './policy/policy.js'
export type { PolicyDefinition, PolicyOptions, SaveOptions } from './policy/policy.js'
export type { LoraSettings } from './policy/lora-options.js'
export type { TrainingRecord } from './policy/model-card.js'
export type { TokenizerFiles } from './policy/tokenizer.js'
export type { ChatTemplateSource } from './policy/chat-template.js'
export type {
  ChatTemplate,
  Message,
  RolloutPolicy,
  Sequence,
  Tokenizer,
  ToolCall,
  ToolDescription,
  ToolFormat,
  TrainedPart,
} from './policy/types.js'
export type {
  Device,
  GenerationPrecision,
  GenerationStats,
  LoraOptions,
  LoraTargetModule,
  MemoryPlan,
  ModelConfig,
  Precision,
  ProfileEntry,
  RopeScaling,
  Sample,
  SamplingOptions,
} from './native/types.js'

// Tasks to train on, and conversations for a cold start.
export { jsonl } from './tasks/jsonl.js'
export type { JsonlOptions } from './tasks/jsonl.js'
export { openTasks } from './tasks/open-tasks.js'
export type { OpenTasks, OpenTasksOptions } from './tasks/open-tasks.js'
export type { Columns } from './tasks/columns.js'
export type { Row, RowSource } from './tasks/rows.js'
export type { Split } from './tasks/split.js'
export type { TaskList } from './tasks/task-list.js'
export type { RowOptions } from './tasks/task-row.js'
export type { Task } from './rollout/types.js'
export { readConversations } from './traces/read-conversations.js'
export type {
  ConversationFormat,
  ReadConversations,
  ReadConversationsOptions,
} from './traces/read-conversations.js'
export type { ImportedConversation, ImportOptions } from './traces/conversation.js'

// Tools: plain functions, those of others, sandboxed code, search.
export { defineTool } from './tools/define-tool.js'
export type { ToolDefinition } from './tools/define-tool.js'
export type { JsonSchema } from './tools/input-schema.js'
export type { ConversationMessage, FinishedToolCall, Tool, ToolContext } from './tools/types.js'
export { ToolOutput } from './tools/tool-output.js'
export type { ToolImage } from './tools/tool-output.js'
export { ToolInputError } from './tools/tool-input-error.js'
export { ToolTimeoutError } from './tools/tool-timeout-error.js'
export { connectMcp } from './tools/mcp.js'
export type { McpConnection, McpOptions, McpServer } from './tools/mcp.js'
export type { McpEndpoint, McpProgram } from './tools/mcp/options.js'
export { fromAiSdk } from './tools/ai-sdk.js'
export type { AiSdkOptions, AiSdkTool } from './tools/ai-sdk.js'
export { calculator } from './tools/calculator.js'
export { pythonTool } from './tools/python.js'
export { javascriptTool } from './tools/javascript.js'
export type { CodeTool } from './tools/sandbox/code-tool.js'
export type { SandboxOptions } from './tools/sandbox/options.js'
export { buildTextIndex, searchTool } from './tools/text-search.js'
export type {
  DocumentFields,
  SearchResult,
  SearchToolOptions,
  TextDocument,
  TextIndex,
  TextIndexOptions,
} from './tools/text-search.js'
export type { Passage } from './tools/text-search/passages.js'
export { webSearchTool } from './tools/web-search.js'
export type { WebSearchOptions, WebSearchProvider } from './tools/web-search.js'

// Rewards: when an answer is right.
export {
  contains,
  exactMatch,
  jsonSchemaMatch,
  llmJudge,
  numericMatch,
  regexMatch,
  reportedOutcome,
  ungraded,
  verifier,
} from './rewards/rewards.js'
export type {
  AnswerReward,
  AnswerScore,
  Check,
  CheckResult,
  ExactMatchOptions,
  JsonSchemaMatchOptions,
  LlmJudge,
  LlmJudgeOptions,
  NumericMatchOptions,
  RegexMatchOptions,
  RewardOptions,
  Ungraded,
  VerifierOptions,
} from './rewards/rewards.js'
export type { Agreement } from './rewards/judge/agreement.js'
export type { JudgeStatistics } from './rewards/judge/judge.js'
export type { JudgeOptions } from './rewards/judge/options.js'

// Training: reinforcement learning, and the supervised cold start before it.
export { Trainer } from './trainer/trainer.js'
export type { AssignedRollout, TrainerStep } from './trainer/trainer.js'
export type { TrainerEvaluation, TrainerOptions } from './trainer/trainer-options.js'
export { SupervisedTrainer } from './trainer/supervised-trainer.js'
export type { SupervisedStep } from './trainer/supervised-trainer.js'
export type { Conversation, SupervisedTrainerOptions } from './trainer/supervised-options.js'
export type { AlgorithmName, AlgorithmOptions } from './hdpo/options.js'
export type { RolloutOptions } from './rollout/options.js'
export type { ScheduleName, TrainerOptimizerOptions } from './trainer/schedule.js'
export type { RecordedStep, RunOptions } from './trainer/run-loop.js'
export type {
  AdvantageSpread,
  LossMetrics,
  PhaseSeconds,
  StepMetrics,
  SupervisedMetrics,
} from './trainer/metrics.js'
export type { RolloutDrift } from './trainer/importance.js'
export type { TrainablePolicy } from './trainer/trainable-policy.js'
// The default export of a module that a config names as its environment.
export type { Environment } from './trainer/environment.js'

// The parts of a step, for a loop of your own (examples/one-step.ts).
export { runGroup } from './rollout/group.js'
export type { GroupOptions, RunGroup } from './rollout/group.js'
export { scoreRollouts } from './rewards/rewards.js'
export { assignAdvantages } from './hdpo/algorithms.js'
export type { Advantages, RewardedRollout } from './hdpo/algorithms.js'
export { packPolicyBatch } from './trainer/batch.js'
export type { AdvantagedRollout } from './trainer/batch.js'
export type {
  Outcome,
  Rollout,
  SamplingRecord,
  ScoredRollout,
  TokenSequence,
  ToolCallOutcome,
  ToolCallRecord,
  UngradedRollout,
} from './rollout/types.js'
export type {
  OptimizerOptions,
  PackedSequences,
  PolicyBatch,
  PolicyLossOptions,
  StepResult,
} from './native/types.js'

// An agent of your own: the same function is trained, behind a server of the policy, and measured by `hdpo eval --agent`.
export type {
  Agent,
  AgentContext,
  AgentResult,
  AgentToolCall,
  TrainingContext,
} from './rollout/agent.js'
export { agentRollouts } from './server/agent-rollouts.js'
export type { AgentRolloutsOptions } from './server/agent-rollouts.js'
export { createServer } from './server/create-server.js'
export type { AgentServer, RolloutHandle, StartRolloutOptions } from './server/create-server.js'
export type { FetchHandler, RequestListener } from './http/node-listener.js'
export type { RegistryMetrics } from './server/rollout-registry.js'
export type { RequestedSampling } from './server/completion-request.js'
export type { ServerOptions } from './server/server-options.js'
export type { RolloutLimits } from './server/server-options.js'
export type { ListenOptions } from './http/listen.js'
export { recordedRollouts } from './trainer/recorded-rollouts.js'
export type { RecordedRollouts, RecordedRolloutsOptions } from './trainer/recorded-rollouts.js'

// Measuring: how right an agent is, which calls it needs, what it knows; data sets made from that.
export { EndedEvaluation, evaluate, measureKnown } from './evaluation/evaluate.js'
export type {
  EvaluateOptions,
  Evaluation,
  EvaluationSummary,
  MeasureKnownOptions,
} from './evaluation/evaluate.js'
export type { GradedMetrics } from './evaluation/metrics.js'
export type { RolloutMetrics } from './rollout/metrics.js'
export type { Knowledge } from './evaluation/knowledge.js'
export { curate } from './curation/curate.js'
export type { CurateOptions, CurationProgress, CurationSummary } from './curation/curate.js'
export type { KnowledgeMark } from './curation/marked-task.js'
export type { DropReason } from './curation/review-trace.js'
export type { ProgressReport } from './core/progress.js'

// Where metrics go, beside the run folder.
export { tensorBoard } from './loggers/tensorboard.js'
export type { TensorBoardOptions } from './loggers/tensorboard.js'
export { mlflow } from './loggers/mlflow.js'
export type { MlflowOptions } from './loggers/mlflow.js'
export type { RetryOptions } from './http/retry-options.js'
export { prometheus } from './loggers/prometheus.js'
export type { PrometheusLogger, PrometheusOptions } from './loggers/prometheus.js'
export type { LoggedRun, RunLogger, RunOutcome } from './loggers/types.js'

// Errors, and what may never be written down or reach a policy.
export { HdpoError } from './core/errors.js'
export type { ErrorCode } from './core/error-codes.js'
export { InvalidOptionError } from './core/option-error.js'
export { addSecret } from './core/secrets.js'
