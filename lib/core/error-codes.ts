// Every code that an HdpoError can carry, with its meaning and remedy; docs/errors.md is generated from this table.

export const errorCodes = {
  ERR_ABORTED: 'The work was ended by the AbortSignal that was given for it.',
  ERR_ADDON: 'The native addon is missing or does not load. The message says which command builds it.',
  ERR_AGENT: 'An agent of your own failed in every rollout, or returned what is no reply.',
  ERR_AI_SDK_TOOL: 'A tool of the AI SDK cannot be used: it has no execute function or no JSON Schema.',
  ERR_API_KEY: 'The environment variable that should hold an API key is not set.',
  ERR_ARGUMENT:
    'The native core was given something that it does not take. Options are checked before: please report it.',
  ERR_BATCH: 'A training batch does not fit together: lengths, token ids or masks.',
  ERR_BUILD: 'The native addon could not be built here. The message ends with what the compiler said.',
  ERR_BUSY:
    'A sequence is already being sampled, or an engine is in use in a way that admits one caller at a time.',
  ERR_CHAT_TEMPLATE:
    'The chat template of the model is missing, is no valid template, or refuses a conversation.',
  ERR_CHECKPOINT: 'A checkpoint is damaged or is of another model.',
  ERR_CLOSED: 'The policy or server has been closed.',
  ERR_COLD_START: 'The weights of a shipped cold start are damaged or belong to another recipe.',
  ERR_COMPARE: 'A comparison could not run one of its parts. The log of that part says more.',
  ERR_CONFIG: 'A config file has mistakes: one line for each, by key.',
  ERR_CPU_UNSUPPORTED: 'The addon was built for a newer processor than this one. Build it here.',
  ERR_CUDA: 'A CUDA call failed. The message names the call and what CUDA said.',
  ERR_DATA: 'A file of conversations cannot be read, or holds nothing to train on.',
  ERR_DEVICE:
    "There is no usable GPU, though device: 'cuda' was asked for. The message says what is missing.",
  ERR_ENDPOINT:
    'The endpoint that is evaluated, or the judge, refuses every request: its key, model, address or credit. The message says what it said.',
  ERR_HTTP: 'A request failed, after the retries that its kind allows.',
  ERR_IMAGE_RESULT: 'A tool returned an image, and the policy reads text.',
  ERR_INTERNAL: 'Something that cannot happen did. Please report it.',
  ERR_IO: 'A file could not be read or written by the native core.',
  ERR_KV_BUDGET: 'A sequence needs more cached keys and values than the budget holds. Raise kvBudgetBytes.',
  ERR_LISTENING: 'The server listens already.',
  ERR_LOGGER: 'A logger could not be started.',
  ERR_MCP_CONNECT: 'An MCP server could not be reached or started.',
  ERR_MCP_TOOL: 'A tool of an MCP server cannot be used, or its call failed.',
  ERR_MEMORY: 'A training step needs more memory than there is. The message names what to change.',
  ERR_MISSING_PACKAGE: 'An optional package is needed for this and not installed.',
  ERR_NON_FINITE: 'The loss or its gradient was not finite for too many steps in a row.',
  ERR_NOT_IMPLEMENTED: 'The device or model has no implementation of this yet.',
  ERR_NO_COMPLETION: 'A rollout ended without a completion of the policy.',
  ERR_NO_REFERENCE: 'A KL term needs reference weights, and none were frozen.',
  ERR_NO_RUN: 'There is no run folder where one was named.',
  ERR_NO_SQLITE:
    'better-sqlite3, an optional dependency, did not install: there is no index of runs without it.',
  ERR_NO_URL:
    'Nobody can reach the server yet: call listen(), or give it the baseURL under which it is embedded.',
  ERR_OPTION:
    'An option is wrong: `option` names it, `expected` says what is allowed, `given` is what was passed.',
  ERR_OUT_OF_MEMORY: 'Memory of the CPU or GPU ran out. The message says how much was asked for.',
  ERR_POLICY_FOLDER: 'A folder is no model that hdpo can read. The message names the file and the key.',
  ERR_RECORDED: 'Recorded rollouts do not fit the policy or the options that they are replayed with.',
  ERR_RESUME: 'A run cannot go on with the options given now: the message names the one that differs.',
  ERR_REWARD: 'The answer reward threw, or returned what is no reward.',
  ERR_RUN_EXISTS: 'The output folder has a run in it already. Resume it, or take another folder.',
  ERR_RUN_FOLDER: 'The output folder cannot be used as a run folder, or a file in it is damaged.',
  ERR_RUN_IN_USE:
    'Another process writes into the folder. The message names it, its host and since when, and says what to do.',
  ERR_SANDBOX_ENDED: 'The interpreter of a code tool ended while it was needed.',
  ERR_SANDBOX_MEMORY: 'The interpreter of a code tool ran out of the memory that it may use.',
  ERR_SANDBOX_PLATFORM: 'Code tools cannot be shut in on this system.',
  ERR_SANDBOX_START: 'The interpreter of a code tool did not start.',
  ERR_SEQUENCE: 'A sequence was used that does not exist, or after its release.',
  ERR_SHAPE: 'Arrays of the native core do not fit together.',
  ERR_STATE: 'A call came at the wrong time, e.g. training while adapters are merged.',
  ERR_SYSTEM: 'The operating system refused a file: the message names the path and the reason.',
  ERR_TASKS:
    'A file of tasks cannot be read, or a row of it is no task. The message names the file and line.',
  ERR_TOKENIZER: 'The tokenizer of the model is of a kind that hdpo cannot read, or is damaged.',
  ERR_TOKEN_NEEDED: 'A server that other machines can reach needs a token.',
  ERR_TOOL_CHOICE: 'The tool choice that was asked for is not possible with the call format of this policy.',
  ERR_TOOL_FORMAT:
    'The chat template writes calls in a form that hdpo does not know. Name one with toolFormat.',
  ERR_TOOL_INPUT: 'A tool was called with arguments that its schema refuses. The policy is told so.',
  ERR_TOOL_TIMEOUT: 'A call of a tool took longer than its timeout. The policy is told so.',
  ERR_TRACE: 'A recorded conversation cannot be used. Importers skip it and count it.',
  ERR_UNGRADED: 'No rollout could be graded for too many steps in a row.',
} as const

export type ErrorCode = keyof typeof errorCodes
