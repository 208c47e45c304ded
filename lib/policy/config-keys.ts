// Keys of config.json by what they do. What is neither computed nor known to say nothing about the maths is refused, unless it is off:
// a fork of an architecture announces itself by a key that its parent does not have.
import { type Json, keysOfOtherMaths, type Refuse } from './architectures.js'

/** Read by model-config.ts and architectures.ts. */
const computed = [
  'model_type',
  'architectures',
  'vocab_size',
  'hidden_size',
  'num_hidden_layers',
  'num_attention_heads',
  'num_key_value_heads',
  'head_dim',
  'intermediate_size',
  'max_position_embeddings',
  'rope_theta',
  'rope_scaling',
  'rope_parameters',
  'rms_norm_eps',
  'tie_word_embeddings',
  'layer_types',
  'sliding_window',
  'use_sliding_window',
  'max_window_layers',
]

/** How a model was made, is stored, or is asked to write: the logits do not depend on it. */
const descriptive = (
  'dtype torch_dtype transformers_version name_or_path model_name license use_cache initializer_range pretraining_tp is_llama_config ' +
  'original_max_position_embeddings attn_implementation keys_to_ignore_at_inference transformers.js_config ' +
  'return_dict output_hidden_states output_attentions return_dict_in_generate output_scores is_decoder is_encoder_decoder ' +
  'add_cross_attention tie_encoder_decoder cross_attention_hidden_size chunk_size_feed_forward pruned_heads tf_legacy_loss ' +
  'torchscript use_bfloat16 problem_type id2label label2id num_labels finetuning_task task_specific_params prefix ' +
  'max_length min_length max_new_tokens do_sample early_stopping num_beams num_beam_groups diversity_penalty temperature top_k top_p ' +
  'min_p typical_p repetition_penalty length_penalty no_repeat_ngram_size encoder_no_repeat_ngram_size bad_words_ids ' +
  'num_return_sequences remove_invalid_values exponential_decay_length_penalty suppress_tokens begin_suppress_tokens'
).split(' ')

/** Ids of tokens, versions of programs, and what transformers and Unsloth note for themselves. */
const descriptivePatterns = [/_token_id$/, /_version$/, /^_/, /^unsloth_/]

/** Throws naming the first key that is not known. */
export function refuseUnknownKeys(json: Json, refuse: Refuse): void {
  const known = new Set([...computed, ...descriptive, ...keysOfOtherMaths])
  for (const [key, value] of Object.entries(json)) {
    if (known.has(key) || descriptivePatterns.some((pattern) => pattern.test(key)) || isOff(value)) continue
    const text = JSON.stringify(value)
    refuse(
      `"${key}": ${text.length > 120 ? `${text.slice(0, 117)}...` : text} is not known, and may change what is computed`,
    )
  }
}

function isOff(value: unknown): boolean {
  return value === null || value === undefined || ['false', '[]', '{}'].includes(JSON.stringify(value))
}
