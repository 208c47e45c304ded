// Policies that come with hdpo already cold-started, so that the quickstart need not train them first. Beside each file of weights a
// JSON file says what they were trained on, with which commands, and the hash that the weights must have.
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { HdpoError } from '../core/errors.js'
import { text } from '../core/option-kinds.js'
import { readOptions } from '../core/options.js'
import type { BuiltInFamily } from './built-in-families.js'

export interface ShippedColdStart {
  environment: BuiltInFamily
  seed: number
  /** SHA-256 of the weights, hexadecimal. */
  sha256: string
  /** Hash of everything that the training depends on (lib/experiment/quickstart/cold-start-recipe.ts). */
  recipe: string
  /** The commands that made the weights, in order. */
  commands: string[]
  /** Optimiser steps of the training, and where it ran. */
  steps: number
  machine: string
}

/** The seed of each family whose cold start comes with hdpo. */
const shippedSeeds: Partial<Record<BuiltInFamily, number>> = { atlas: 0 }

export function isColdStartShipped(environment: BuiltInFamily, seed: number): boolean {
  return shippedSeeds[environment] === seed
}

/** Paths of the weights and of their description; dist/ has both in the same place. */
export function shippedColdStartPaths(environment: BuiltInFamily): { weights: string; description: string } {
  const path = (file: string) => fileURLToPath(new URL(`./${environment}/${file}`, import.meta.url))
  return { weights: path('cold-start.safetensors'), description: path('cold-start.json') }
}

export async function readShippedColdStart(environment: BuiltInFamily): Promise<ShippedColdStart> {
  const { description } = shippedColdStartPaths(environment)
  return JSON.parse((await readShipped(description)).toString('utf8')) as ShippedColdStart
}

/** The path of the weights, after checking that they are those that were shipped. */
export async function checkShippedWeights(
  { environment, sha256 }: ShippedColdStart,
  path = shippedColdStartPaths(environment).weights,
): Promise<string> {
  const found = sha256Of(await readShipped(path))
  if (found === sha256) return path
  throw new HdpoError(
    'ERR_COLD_START',
    `${path} is not the file that comes with hdpo: its sha256 is ${found}, not ${sha256}; ${remedies}`,
  )
}

/**
 * The path of the weights that a family's policy has after the cold start, for `policy.loadWeights`; they come with hdpo for atlas
 * with seed 0. Rejects with ERR_COLD_START if there are none, or different ones.
 */
export async function coldStartWeights(environment: BuiltInFamily): Promise<string> {
  readOptions(text, environment, 'environment')
  return checkShippedWeights(await readShippedColdStart(environment))
}

export function sha256Of(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}

const remedies =
  'bring it back (git checkout, or install hdpo again), or train the cold start yourself (--from-scratch)'

async function readShipped(path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (error) {
    throw new HdpoError(
      'ERR_COLD_START',
      `${path}, a file that comes with hdpo, cannot be read (${(error as NodeJS.ErrnoException).code}); ${remedies}`,
      { cause: error },
    )
  }
}
