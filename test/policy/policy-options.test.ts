// Wrong options of policies, templates and tokenizers are refused before anything is read.
import { describe } from 'vitest'
import { createAtlas } from '../../lib/families/atlas/atlas.js'
import { toolFormats } from '../../lib/policy/calls/formats.js'
import { createChatTemplate } from '../../lib/policy/chat-template.js'
import { resolveLora } from '../../lib/policy/lora-options.js'
import { Policy } from '../../lib/policy/policy.js'
import { loadTokenizer } from '../../lib/policy/tokenizer.js'
import { refuses } from '../core/wrong-options.js'
import { closing } from './with-policy.js'

const absent = '/there/is/no/such/folder'
const { tokenizer, template, model } = createAtlas()
const definition = { config: { ...model, layers: 1 }, tokenizer, template }

describe('Policy.load refuses', () => {
  refuses(
    (options) => Policy.load(absent, options),
    [
      [{ device: 'gpu' }, "device: must be one of auto, cpu, cuda, got 'gpu'"],
      [{ precision: 'int4' }, "precision: must be one of float32, bfloat16, got 'int4'"],
      [
        { generationPrecision: 'int4' },
        "generationPrecision: must be one of float32, bfloat16, int8, got 'int4'",
      ],
      [{ kvPrecision: 'int8' }, "kvPrecision: must be one of float32, bfloat16, got 'int8'"],
      [{ trainable: 'no' }, "trainable: must be true or false, got 'no'"],
      [{ threads: -1 }, 'threads: must be a whole number from 0 to 1024, got -1'],
      [{ kvBudgetBytes: 0 }, 'kvBudgetBytes: must be a whole number of at least 1, got 0'],
      [{ maxBatchRows: 1.5 }, 'maxBatchRows: must be a whole number from 1 to 1048576, got 1.5'],
      [{ recompute: 1 }, 'recompute: must be true or false, got 1'],
      [{ base: '' }, "base: must be text that is not empty, got ''"],
      [
        { devise: 'cpu' },
        "devise: must be left out (there is no such option; did you mean device?), got 'cpu'",
      ],
      [{ lora: { rank: 0 } }, 'lora.rank: must be a whole number from 1 to 1024, got 0'],
      [{ lora: {} }, 'lora.rank: must be a whole number from 1 to 1024, got undefined'],
      [{ lora: { rank: 2, alpha: 0 } }, 'lora.alpha: must be greater than 0, got 0'],
      [{ lora: { rank: 2, dropout: 1 } }, 'lora.dropout: must be at least 0 and less than 1, got 1'],
      [
        { lora: { rank: 2, targetModules: [] } },
        'lora.targetModules: must be a list that is not empty, got []',
      ],
      [
        { lora: { rank: 2, targetModules: ['lm_head'] } },
        "lora.targetModules[0]: must be one of q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, got 'lm_head'",
      ],
      [
        { lora: { rank: 2, bias: true } },
        'lora.bias: must be left out (there is no such option; known: rank, alpha, dropout, targetModules, rankStabilized), got true',
      ],
    ],
  )
})

describe('Policy.create refuses', () => {
  refuses(
    (change) => Policy.create({ ...definition, ...(change as object) }),
    [
      [{ seed: -1 }, 'seed: must be a whole number of at least 0, got -1'],
      [{ config: undefined }, 'config: must be the sizes of a model, got undefined'],
      [{ tokenizer: {} }, 'tokenizer.tokenizer: must be the content of tokenizer.json, got undefined'],
      [{ template: { template: 3 } }, 'template.template: must be text, got 3'],
      [
        { config: { ...definition.config, vocabSize: 5 } },
        'config.vocabSize: must be at least 2048, the size of the tokenizer, got 5',
      ],
    ],
  )
})

describe('a policy refuses', () => {
  const withOne = async (use: (policy: Policy) => Promise<unknown>) =>
    closing(await Policy.create(definition), use)
  refuses(
    (options) => withOne((policy) => policy.save(absent, options)),
    [
      [{ dtype: 'int8' }, "save.dtype: must be one of float32, bfloat16, got 'int8'"],
      [{ maxShardBytes: 0 }, 'save.maxShardBytes: must be a whole number of at least 1, got 0'],
    ],
  )
  refuses(
    (options) => withOne((policy) => policy.logprobs(Int32Array.of(1), Int32Array.of(0, 1), options)),
    [[{ reference: 1 }, 'logprobs.reference: must be true or false, got 1']],
  )
})

describe('createChatTemplate refuses', () => {
  refuses(
    (change) => createChatTemplate({ ...template, ...(change as object) }, loadTokenizer(tokenizer)),
    [
      [{ toolFormat: 'xml' }, `template.toolFormat: must be one of ${toolFormats.join(', ')}, got 'xml'`],
      [{ endTokens: [-1] }, 'template.endTokens[0]: must be a whole number of at least 0, got -1'],
      [{ variables: 3 }, 'template.variables: must be an object, got 3'],
    ],
  )
})

describe('resolveLora', () => {
  refuses(resolveLora, [[undefined, 'lora: must be an object, got undefined']])
})
