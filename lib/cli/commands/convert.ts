// hdpo convert: rewrites a model folder in another dtype, in one file or in shards, with its adapter merged.
import { existsSync } from 'node:fs'
import { copyFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { type Command, Option } from 'commander'
import { HdpoError } from '../../core/errors.js'
import { checkReplaceableFolder } from '../../core/writable.js'
import type { Precision } from '../../native/types.js'
import { describePolicyFolder, type PolicyDescription } from '../../policy/inspect.js'
import { Policy } from '../../policy/policy.js'
import { examples } from '../terminal/examples.js'
import { positiveNumber } from '../terminal/flags.js'

interface ConvertFlags {
  dtype?: Precision
  merge?: string
  shardGb?: number
}

export function addConvertCommand(program: Command): void {
  program
    .command('convert')
    .description('write a model folder in another type, or with a LoRA adapter merged')
    .argument('<folder>', 'a model folder, or an adapter whose base is here')
    .argument('<output>', 'the folder to write')
    .addOption(
      new Option('--dtype <type>', 'of the weights (default: as they are)').choices(['float32', 'bfloat16']),
    )
    .option('--merge <adapter>', 'a folder with a LoRA adapter of the model')
    .option('--shard-gb <number>', 'split weights beyond so many GB', positiveNumber, 5)
    .addHelpText(
      'after',
      examples(
        'hdpo convert ./Qwen3-0.6B ./Qwen3-0.6B-f32 --dtype float32',
        'hdpo convert ./Qwen3-0.6B ./my-agent --merge ./adapter',
      ),
    )
    .action(convert)
}

export async function convert(folder: string, output: string, flags: ConvertFlags): Promise<void> {
  const source = resolve(folder)
  const target = resolve(output)
  if (target === source)
    throw new HdpoError('ERR_CONFIG', `output: ${output} is the folder that is read; choose another`)
  await checkReplaceableFolder(target)
  const adapter = flags.merge === undefined ? undefined : resolve(flags.merge)
  if (adapter !== undefined && !existsSync(join(adapter, 'adapter_config.json'))) {
    throw new HdpoError('ERR_POLICY_FOLDER', `--merge: ${adapter} holds no adapter (no adapter_config.json)`)
  }
  const loaded = adapter ?? source
  const base = adapter === undefined ? {} : { base: source }
  const description = await describePolicyFolder(loaded, base)
  const dtype = flags.dtype ?? storedPrecision(description)
  // The adapter's product is added to the weights before they are rounded, not after.
  const precision = description.adapter ? 'float32' : dtype
  const policy = await Policy.load(loaded, { precision, trainable: false, ...base })
  try {
    await policy.save(target, {
      dtype,
      ...(flags.shardGb !== undefined && { maxShardBytes: flags.shardGb * 1e9 }),
    })
  } finally {
    await policy.close()
  }
  const card = join(source, 'README.md')
  if (!description.adapter && existsSync(card)) await copyFile(card, join(target, 'README.md'))
  console.log(`${target}: ${description.parameters.toLocaleString('en')} parameters in ${dtype}`)
}

/** bfloat16 where all tensors are stored in it; float32, which holds every other type exactly, elsewhere. */
function storedPrecision({ storedAs }: PolicyDescription): Precision {
  return Object.keys(storedAs).every((dtype) => dtype === 'BF16') ? 'bfloat16' : 'float32'
}
