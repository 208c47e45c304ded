// Trains atlas's tokenizer and writes it as lib/families/atlas/tokenizer.json (Hugging Face format):
//   npx tsx scripts/atlas-tokenizer.ts
// The texts are atlas's own, of every country and in every wording, so they depend on no seed: the same data give the same file.
import { fileURLToPath } from 'node:url'
import { countries } from '../lib/families/atlas/countries.js'
import { formatSheet } from '../lib/families/atlas/fact-sheets.js'
import { type Comparison, comparisonQuestion, factQuestion } from '../lib/families/atlas/questions.js'
import { scaffolding, writeTaskTokenizer } from './task-tokenizer.js'

const vocabSize = 2048
// How many times as often as a question about it an answer is seen: in calls' results, in answers, and learnt by heart.
const answerWeight = 8
const output = fileURLToPath(new URL('../lib/families/atlas/tokenizer.json', import.meta.url))

function texts(): string[] {
  const facts = countries.flatMap((country) => [
    formatSheet(country),
    ...country.askable.flatMap((attribute) => {
      const { phrasings, answer, calls } = factQuestion(country, attribute)
      const answers = Array<string>(answerWeight).fill(String(answer))
      return [
        ...phrasings,
        ...answers,
        ...calls.map((call) => JSON.stringify(call)),
        formatSheet(country, [attribute]),
      ]
    }),
  ])
  const [one, other] = countries.filter((country) => country.area !== undefined)
  if (!one || !other) throw new Error('the data set has no areas')
  const comparisons = (['area-larger', 'area-difference', 'area-sum'] as Comparison[]).flatMap(
    (family) => comparisonQuestion(family, one, other).phrasings,
  )
  const arithmetic = [...'+-*'].flatMap((operator) => [
    `What is 1 ${operator} 2?`,
    `Compute 1 ${operator} 2.`,
    `1 ${operator} 2 = ?`,
  ])
  const always = [...comparisons, ...arithmetic, ...scaffolding()]
  // Scaffolding comes with every question, so it weighs as much as all names together.
  return [...facts, ...Array<string[]>(countries.length).fill(always).flat()]
}

writeTaskTokenizer(output, texts(), vocabSize)
