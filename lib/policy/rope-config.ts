// The rotary embedding in config.json. transformers 5 writes all of it into "rope_parameters", for models with layers of several types
// a mapping for each; older versions write "rope_theta" and "rope_scaling".
import { isRecord } from '../core/is-record.js'
import type { RopeScaling } from '../native/types.js'
import type { Json, Refuse } from './architectures.js'

export interface Rope {
  theta?: number
  scaling?: RopeScaling
}

/**
 * A file for both versions of transformers has everything twice; where the two differ, it depends on the reader which one wins, so
 * that is refused.
 */
export function ropeOf(json: Json, refuse: Refuse): Rope {
  const keys = ['rope_parameters', 'rope_scaling'].filter((key) => json[key])
  const [rope = {}, other] = keys.map((key) => readRope(...ofFullAttention(json, key, refuse), refuse))
  if (other && JSON.stringify(other.scaling) !== JSON.stringify(rope.scaling)) {
    refuse('"rope_parameters" and "rope_scaling" scale the rotary embedding in different ways')
  }
  const thetas = [json.rope_theta as number | undefined, rope.theta, other?.theta]
  const [theta, another] = new Set(thetas.filter((value) => value !== undefined && value !== null))
  if (another !== undefined) refuse(`"rope_theta" is given as ${theta} and as ${another}`)
  if (theta === undefined && json.rope_parameters) {
    refuse('"rope_parameters" has no "rope_theta", whose default depends on the version of transformers')
  }
  return { ...rope, ...(theta !== undefined && { theta }) }
}

/** The mapping of the layers that hdpo computes, all of which have full attention, and what to call it. */
function ofFullAttention(json: Json, key: string, refuse: Refuse): [Json, string] {
  const rope = json[key]
  if (!isRecord(rope)) return refuse(`"${key}" must be an object, got ${JSON.stringify(rope)}`)
  const nested = Object.keys(rope).filter((name) => isRecord(rope[name]))
  if (nested.length === 0) return [rope, key]
  const full = rope.full_attention
  if (!isRecord(full)) {
    return refuse(
      `"${key}" has parameters for ${nested.join(', ')}, and none for full_attention, which every layer has`,
    )
  }
  // Mappings of other types are those of no layer; what stands beside the mappings would be in doubt.
  const beside = Object.keys(rope).find((name) => !isRecord(rope[name]) && rope[name] !== null)
  if (beside !== undefined) refuse(`"${key}" has both parameters for types of layers and "${beside}"`)
  return [full, `${key}.full_attention`]
}

const scalingKeys = ['factor', 'low_freq_factor', 'high_freq_factor', 'original_max_position_embeddings']

/** With its keys in a fixed order, so that two can be compared as text. */
function readRope(rope: Json, key: string, refuse: Refuse): Rope {
  const type = rope.rope_type ?? rope.type ?? 'default'
  if (type !== 'default' && type !== 'llama3') {
    refuse(`"${key}": rope type ${JSON.stringify(type)} is not implemented; "default" and "llama3" are`)
  }
  if (rope.type != null && rope.type !== type) refuse(`"${key}": "type" and "rope_type" differ`)
  refuseOtherRope(rope, key, type === 'llama3', refuse)
  const theta = rope.rope_theta == null ? {} : { theta: rope.rope_theta as number }
  if (type === 'default') return theta
  const number = (name: string): number => {
    const value = rope[name]
    if (typeof value !== 'number' || !(value > 0)) {
      refuse(`"${key}"."${name}" must be a positive number, got ${JSON.stringify(value) ?? 'nothing'}`)
    }
    return value as number
  }
  const scaling: RopeScaling = {
    type: 'llama3',
    factor: number('factor'),
    lowFrequencyFactor: number('low_freq_factor'),
    highFrequencyFactor: number('high_freq_factor'),
    originalMaxPositions: number('original_max_position_embeddings'),
  }
  if (scaling.highFrequencyFactor <= scaling.lowFrequencyFactor) {
    refuse(`"${key}": "high_freq_factor" must be greater than "low_freq_factor"`)
  }
  return { ...theta, scaling }
}

/** Refuses every parameter that hdpo does not compute, unless it is at a value that changes nothing. */
function refuseOtherRope(rope: Json, key: string, scales: boolean, refuse: Refuse): void {
  const read = [
    'rope_type',
    'type',
    'rope_theta',
    'original_max_position_embeddings',
    ...(scales ? scalingKeys : []),
  ]
  const one = ['factor', 'partial_rotary_factor', 'attention_factor', 'mscale']
  for (const [name, value] of Object.entries(rope)) {
    if (read.includes(name) || value === null || value === undefined) continue
    if (one.includes(name) && value === 1) continue
    refuse(`"${key}"."${name}": ${JSON.stringify(value)} is not implemented`)
  }
}
