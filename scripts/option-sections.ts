// What docs/options.md tells of, in its order. scripts/doc-comments.ts reads the comments of each `shape` here.
import type { z } from 'zod'
import { citiesSettingsShape } from '../lib/cli/config/built-in-environments.js'
import { gridSchema } from '../lib/cli/config/compare-schema.js'
import { curateSchema, sftSchema, trainSchema } from '../lib/cli/config/config-schema.js'
import {
  conversationFileShape,
  judgeConfigShape,
  rewardConfigShape,
  taskFileShape,
} from '../lib/cli/config/data-schema.js'
import { loggerShapes } from '../lib/cli/config/loggers.js'
import { curateShape } from '../lib/curation/curate.js'
import { evaluateShape, measureKnownShape } from '../lib/evaluation/evaluate.js'
import { citiesShape } from '../lib/families/cities/cities.js'
import { coldStartShape } from '../lib/families/cold-start.js'
import { familyShape } from '../lib/families/task-family.js'
import { algorithmShape } from '../lib/hdpo/options.js'
import { listenShape } from '../lib/http/listen.js'
import { mlflowShape } from '../lib/loggers/mlflow.js'
import { prometheusShape } from '../lib/loggers/prometheus.js'
import { tensorBoardShape } from '../lib/loggers/tensorboard.js'
import { groupAdvantagesShape, linearPolicyLossShape, policyLossShape } from '../lib/native/kernels.js'
import { lossShape } from '../lib/native/loss-options.js'
import { optimizerShape } from '../lib/native/optimizer-options.js'
import { sampleShape } from '../lib/native/sampling-options.js'
import { chatTemplateShape } from '../lib/policy/chat-template-options.js'
import { loraShape } from '../lib/policy/lora-options.js'
import { logprobShape, policyDefinitionShape, policyShape } from '../lib/policy/policy-options.js'
import { adapterSaveShape, saveShape } from '../lib/policy/save-policy.js'
import { answerNoiseShape } from '../lib/rewards/answer-noise.js'
import { containsShape } from '../lib/rewards/contains.js'
import { exactMatchShape } from '../lib/rewards/exact-match.js'
import { jsonSchemaMatchShape } from '../lib/rewards/json-schema-match.js'
import { rubricShape } from '../lib/rewards/judge/options.js'
import { numericMatchShape } from '../lib/rewards/numeric-match.js'
import { regexMatchShape } from '../lib/rewards/regex-match.js'
import { rewardShape } from '../lib/rewards/reward-options.js'
import { verifierShape } from '../lib/rewards/verifier.js'
import { agentResult } from '../lib/rollout/agent.js'
import { groupShape } from '../lib/rollout/group.js'
import { rolloutShape } from '../lib/rollout/options.js'
import { outcomeShape } from '../lib/rollout/outcome.js'
import { runRolloutShape } from '../lib/rollout/run-rollout.js'
import { exportShape } from '../lib/run/export/export-run.js'
import { agentRolloutsShape } from '../lib/server/agent-rollouts.js'
import { serverShape, startRolloutShape } from '../lib/server/server-options.js'
import { columnsShape } from '../lib/tasks/columns.js'
import { jsonlShape } from '../lib/tasks/jsonl.js'
import { openTasksShape } from '../lib/tasks/open-tasks.js'
import { splitShape } from '../lib/tasks/split.js'
import { aiSdkShape } from '../lib/tools/ai-sdk.js'
import { mcpShape } from '../lib/tools/mcp/options.js'
import { sandboxShape } from '../lib/tools/sandbox/options.js'
import { searchToolShape, textIndexShape } from '../lib/tools/text-search.js'
import { toolShape } from '../lib/tools/tool-options.js'
import { toolOutputShape } from '../lib/tools/tool-output.js'
import { webSearchShape } from '../lib/tools/web-search/options.js'
import { readConversationsShape } from '../lib/traces/read-conversations.js'
import { recordedRolloutsShape } from '../lib/trainer/recorded-rollouts.js'
import { trainerOptimizerShape } from '../lib/trainer/schedule.js'
import { supervisedShape } from '../lib/trainer/supervised-options.js'
import { trainerShape } from '../lib/trainer/trainer-options.js'
import { uiShape } from '../lib/ui/ui-server.js'

export interface Section {
  title: string
  /** Markdown, above the table. */
  about?: string
  shape: Record<string, unknown> | z.ZodType
}

export const groups: { title: string; sections: Section[] }[] = [
  {
    title: 'Policies',
    sections: [
      { title: 'Policy.load(folder, options)', shape: policyShape },
      {
        title: 'Policy.create(definition)',
        about:
          'What Policy.load takes, and the model, the tokenizer and the template that it would read from a folder.',
        shape: policyDefinitionShape,
      },
      { title: 'lora', shape: loraShape },
      { title: 'template', shape: chatTemplateShape },
      { title: 'policy.save(folder, options)', shape: saveShape },
      { title: 'policy.saveAdapter(folder, options)', shape: adapterSaveShape },
      { title: 'policy.logprobs(tokens, offsets, options)', shape: logprobShape },
      { title: 'sequence.sample(options)', shape: sampleShape },
    ],
  },
  {
    title: 'Training',
    sections: [
      { title: 'new Trainer(options)', shape: trainerShape },
      { title: 'algorithm', shape: algorithmShape },
      { title: 'rollout', shape: rolloutShape },
      { title: 'optimizer', shape: trainerOptimizerShape },
      { title: 'reward', shape: rewardShape },
      { title: 'loss of policy.policyStep(batch, loss, optimizer)', shape: lossShape },
      {
        title: 'optimizer of policy.policyStep and policy.supervisedStep',
        about: 'As for a trainer, without a schedule.',
        shape: optimizerShape,
      },
      { title: 'new SupervisedTrainer(options)', shape: supervisedShape },
      { title: 'recordedRollouts(options)', shape: recordedRolloutsShape },
      {
        title: 'runGroup(policy, task, tools, options)',
        about: 'Beside those of [rollout](#rollout):',
        shape: groupShape,
      },
      {
        title: 'runRollout(policy, task, tools, options)',
        about: 'Beside those of [rollout](#rollout):',
        shape: runRolloutShape,
      },
    ],
  },
  {
    title: 'Measuring and curation',
    sections: [
      { title: 'evaluate(options)', shape: evaluateShape },
      { title: 'measureKnown(options)', shape: measureKnownShape },
      { title: 'curate(options)', shape: curateShape },
    ],
  },
  {
    title: 'Rewards',
    sections: [
      { title: 'exactMatch(options)', shape: exactMatchShape },
      { title: 'contains(options)', shape: containsShape },
      { title: 'numericMatch(options)', shape: numericMatchShape },
      { title: 'regexMatch(options)', shape: regexMatchShape },
      { title: 'jsonSchemaMatch(options)', shape: jsonSchemaMatchShape },
      { title: 'llmJudge(options)', shape: rubricShape },
      { title: 'verifier(check, options)', shape: verifierShape },
      { title: 'noisyAnswer(answer, options)', shape: answerNoiseShape },
    ],
  },
  {
    title: 'Tasks and conversations',
    sections: [
      { title: 'openTasks(source, options)', shape: openTasksShape },
      { title: 'jsonl(path, options)', shape: jsonlShape },
      { title: 'columns', shape: columnsShape },
      { title: 'split', shape: splitShape },
      { title: 'readConversations(path, options)', shape: readConversationsShape },
      { title: 'createAtlas(options)', shape: familyShape },
      { title: 'createCities(options)', shape: citiesShape },
      { title: 'family.coldStart(options)', shape: coldStartShape },
    ],
  },
  {
    title: 'Tools',
    sections: [
      { title: 'defineTool(definition)', shape: toolShape },
      { title: 'new ToolOutput(options)', shape: toolOutputShape },
      { title: 'connectMcp(server)', shape: mcpShape },
      { title: 'fromAiSdk(tools, options)', shape: aiSdkShape },
      { title: 'pythonTool(options), javascriptTool(options)', shape: sandboxShape },
      { title: 'buildTextIndex(source, options)', shape: textIndexShape },
      { title: 'searchTool(options)', shape: searchToolShape },
      { title: 'webSearchTool(options)', shape: webSearchShape },
    ],
  },
  {
    title: 'Serving',
    sections: [
      { title: 'createServer(options)', shape: serverShape },
      { title: 'server.listen(options)', shape: listenShape },
      { title: 'server.startRollout(options)', shape: startRolloutShape },
      {
        title: 'rollout.finish(outcome)',
        about: 'At least one of the three; `correct` and `reward` must not contradict each other.',
        shape: outcomeShape,
      },
      { title: 'agentRollouts(options)', shape: agentRolloutsShape },
      {
        title: 'What an agent returns',
        about: 'At least one of `answer`, `correct` and `reward`.',
        shape: agentResult,
      },
    ],
  },
  {
    title: 'Loggers, the dashboard, exports',
    sections: [
      { title: 'tensorBoard(options)', shape: tensorBoardShape },
      { title: 'mlflow(options)', shape: mlflowShape },
      { title: 'prometheus(options)', shape: prometheusShape },
      { title: 'startUi(options)', shape: uiShape },
      { title: 'exportRun(options)', shape: exportShape },
    ],
  },
  {
    title: 'Kernels',
    sections: [
      { title: 'kernels.groupAdvantages(input)', shape: groupAdvantagesShape },
      { title: 'kernels.policyLoss(input)', shape: policyLossShape },
      { title: 'kernels.linearPolicyLoss(input)', shape: linearPolicyLossShape },
    ],
  },
  {
    title: 'Config files',
    sections: [
      { title: 'hdpo train', about: 'Exactly one of `policy` and `model` is given.', shape: trainSchema },
      { title: 'hdpo sft', shape: sftSchema },
      { title: 'hdpo curate', about: 'Exactly one of `policy` and `model` is given.', shape: curateSchema },
      { title: 'hdpo compare', shape: gridSchema },
      {
        title: 'A file of tasks',
        about: '`tasks` and `evaluationTasks` in its long form.',
        shape: taskFileShape,
      },
      {
        title: 'A file of conversations',
        about: '`conversations` and `traces` in their long form.',
        shape: conversationFileShape,
      },
      { title: 'reward in a config', shape: rewardConfigShape },
      {
        title: 'A judge in a config',
        about: '`reward.judge` and `rationaleJudge`.',
        shape: judgeConfigShape,
      },
      {
        title: 'environmentSettings of cities',
        about: 'Those of `atlas` are the same but for `count`.',
        shape: citiesSettingsShape,
      },
      { title: 'A tensorboard logger in a config', shape: loggerShapes.tensorboard },
      { title: 'An mlflow logger in a config', shape: loggerShapes.mlflow },
      { title: 'A prometheus logger in a config', shape: loggerShapes.prometheus },
    ],
  },
]
