// The commented configs that `hdpo init` writes and docs/config.md shows: what most runs need, and nothing else.

/** Paths as they stand in the configs, relative to the folder of these. */
export interface StarterPaths {
  policy: string
  tasks: string
  tools: readonly string[]
  traces: string
}

/** Settings that depend on the size of the model. */
export interface StarterModel {
  /** A model of a few million parameters, as `hdpo demo-model` makes one. It learns at a far higher rate, all of its weights. */
  isTiny: boolean
}

export const starterNames = ['train', 'sft', 'curate'] as const
export type StarterName = (typeof starterNames)[number]

export function starterConfig(name: StarterName, paths: StarterPaths, model: StarterModel): string {
  return { train: trainConfig, sft: sftConfig, curate: curateConfig }[name](paths, model)
}

const introduction = (command: string, about: string) => `# hdpo ${command} ${command}.yaml: ${about}
# Paths are relative to this file. All keys, with bounds and defaults: docs/options.md.
`

function trainConfig({ policy, tasks, tools }: StarterPaths, { isTiny }: StarterModel): string {
  return `${introduction('train', 'HDPO. Control-C finishes the step and saves; --resume goes on from there.')}
# The model to begin with: a folder as Hugging Face has it (config.json, tokenizer.json, weights in safetensors).
policy: ${quoted(policy)}
${memory(isTiny)}
# Questions with answers: lines like {"question": "...", "answer": "..."}, or Parquet; other names of columns: docs/data.md.
tasks:
  path: ${quoted(tasks)}
  heldOutShare: 0.1                # of the questions: never trained on, asked by the evaluations instead. Default: none

# Modules whose default export is a tool, a list of tools, or the AI SDK's tools; or calculator, javascript, python.
tools: ${list(tools)}

# How an answer is compared: exact-match, contains (for prose), numeric-match, regex-match, json-schema-match, llm-judge, or a module of yours.
reward: { answer: exact-match }

# What a rollout earns: accuracy over all rollouts, few calls over the correct ones only. grpo and others: docs/algorithm.md.
algorithm: { name: hdpo, accuracyWeight: 1, efficiencyWeight: 0.15 }
groupSize: 16                      # rollouts of each question, compared with each other; at least 2
promptsPerStep: 8                  # questions a step, so that a step plays 128 rollouts
steps: 100

rollout:
  temperature: 1                   # default 1; 0 would teach nothing
  maxTurns: 10                     # default 10: assistant turns, one more than rounds of calls
  maxTurnTokens: ${isTiny ? 48 : 512}${isTiny ? ' ' : ''}              # tokens of one turn. Default: what is left of the longest sequence
  toolTimeout: 30000               # milliseconds for a call. Default 30000

optimizer:
  learningRate: ${isTiny ? '4.0e-4' : '1.0e-5'}           # ${isTiny ? 'of a tiny model; a real one wants about 1.0e-5' : 'with an adapter; up to 1.0e-4 is common'}
  schedule: cosine                 # or constant, the default
  warmupSteps: 5                   # default 0

# Redundant and needed calls, measured on the held-out questions: what is known without tools is asked once, before step 1.
evaluate:
  every: 10                        # steps
  samples: 4                       # rollouts of each question. Default 1

checkpointEvery: 10                # steps. Default 10
seed: 0                            # default 0
output: runs/train                 # the run folder: metrics, rollouts, checkpoints, and the trained model in policy/
`
}

function sftConfig({ policy, traces, tools }: StarterPaths, { isTiny }: StarterModel): string {
  return `${introduction('sft', 'supervised training on conversations, so that the model knows your tools before HDPO.')}
policy: ${quoted(policy)}
${memory(isTiny)}
# Conversations: OpenAI's logs and fine-tuning files, OpenTelemetry traces, or hdpo's own; told apart line by line (docs/data.md).
conversations:
  path: ${quoted(traces)}
  answerTags: add                  # default: final answers are put into <answer> tags, where rewards look; keep leaves them

# The tools of conversations that name none.
tools: ${list(tools)}

epochs: ${isTiny ? 20 : 2}${isTiny ? '' : ' '}                         # passes over the conversations; or steps. Default 1
tokensPerStep: 2048                # a step takes conversations up to this many tokens
optimizer:
  learningRate: ${isTiny ? '1.0e-3' : '2.0e-5'}           # ${isTiny ? 'of a tiny model; a real one wants about 2.0e-5' : 'with an adapter; up to 2.0e-4 is common'}
  schedule: cosine
  warmupSteps: 5

checkpointEvery: 100               # steps. Default 100
seed: 0
output: runs/sft                   # the trained model is in its folder policy/
`
}

function curateConfig({ policy, tasks, tools, traces }: StarterPaths, { isTiny }: StarterModel): string {
  return `${introduction('curate', 'sorts questions by what the model knows without tools, and keeps conversations whose calls make sense.')}
# The model before any training.
policy: ${quoted(policy)}
${isTiny ? '# precision: bfloat16            # of the weights: half the memory. Default float32' : 'precision: bfloat16                # of the weights: half the memory. Default float32'}

tasks: ${quoted(tasks)}
tools: ${list(tools)}
reward: { answer: exact-match }

# Conversations with tool calls, from which the cold-start set is taken. Leave it out to sort questions alone.
traces: ${quoted(traces)}

samples: 8                         # how often each question is asked without tools. Default 8
# Keeps a trace only where a model finds its calls sensible; its key is read from OPENAI_API_KEY:
# rationaleJudge: { baseURL: https://api.openai.com/v1, model: gpt-4.1-mini }

seed: 0
output: data/curated               # writes rl.jsonl, cold-start.jsonl, dropped.jsonl with reasons, curation.json
`
}

function memory(isTiny: boolean): string {
  const mark = isTiny ? '# ' : ''
  const pad = isTiny ? '' : '  '
  return `${mark}precision: bfloat16            ${pad}  # of the weights that are not trained: half the memory. Default float32
${mark}lora: { rank: 32 }             ${pad}  # trains an adapter instead of all weights. Default: all weights
`
}

const list = (items: readonly string[]) => `[${items.map(quoted).join(', ')}]`

/** As a YAML text; plain where nothing in it could mean something else. */
function quoted(text: string): string {
  return /^[\w./][\w./-]*$/.test(text) && !/^[\d.]+$/.test(text) ? text : JSON.stringify(text)
}
