// Which questions there are for a seed, which of them the cold start teaches by heart, and what each is used for.

import { Random } from '../../core/random.js'
import {
  arithmeticQuestion,
  type CurriculumQuestion,
  curriculumUses,
  distinctQuestions,
  type Operator,
  type Question,
} from '../question.js'
import { type Country, countries } from './countries.js'
import { type Comparison, comparisonQuestion, factQuestion } from './questions.js'

// Operands of the arithmetic that is taught, from `low` to `high` inclusive.
const smallOperand = { low: 2, high: 9 }
const largeQuestions = 600
const comparisonsPerFamily = 150
// Copying digits between question, call and result takes more examples to learn than everything else.
const practisedLargeQuestions = 1500
const practisedComparisonsPerFamily = 200

export function createCurriculum(seed: number, heldOutShare: number): CurriculumQuestion[] {
  const { split, practise } = curriculumUses(seed, heldOutShare)
  const { taughtFacts, otherFacts } = factQuestions(seed)
  const large = largeArithmetic(
    new Random(seed, 'large arithmetic'),
    largeQuestions + practisedLargeQuestions,
  )
  const compared = comparisons(
    new Random(seed, 'comparisons'),
    comparisonsPerFamily + practisedComparisonsPerFamily,
  )
  return [
    ...split(taughtFacts, true),
    ...split(otherFacts, false),
    ...split(smallArithmetic(), true),
    ...split(large.slice(0, largeQuestions), false),
    ...practise(large.slice(largeQuestions)),
    ...compared.flatMap((family) => [
      ...split(family.slice(0, comparisonsPerFamily), false),
      ...practise(family.slice(comparisonsPerFamily)),
    ]),
  ]
}

/** Everything but the area is taught for a random half of the countries: nobody knows the digits of areas by heart. */
function factQuestions(seed: number): { taughtFacts: Question[]; otherFacts: Question[] } {
  const shuffled = new Random(seed, 'taught countries').shuffle(countries)
  const taughtCountries = new Set(shuffled.slice(0, Math.floor(countries.length / 2)))
  const taughtFacts: Question[] = []
  const otherFacts: Question[] = []
  for (const country of countries) {
    for (const attribute of country.askable) {
      const taught = taughtCountries.has(country) && attribute !== 'area'
      ;(taught ? taughtFacts : otherFacts).push(factQuestion(country, attribute))
    }
  }
  return { taughtFacts, otherFacts }
}

function smallArithmetic(): Question[] {
  const questions: Question[] = []
  for (const operator of ['+', '*'] as const) {
    for (let left = smallOperand.low; left <= smallOperand.high; left++) {
      for (let right = smallOperand.low; right <= smallOperand.high; right++) {
        questions.push(arithmeticQuestion('small-arithmetic', left, operator, right))
      }
    }
  }
  return questions
}

function largeArithmetic(random: Random, count: number): Question[] {
  const number = (digits: number) => random.integer(10 ** (digits - 1), 10 ** digits - 1)
  return distinctQuestions(count, () => {
    const operator = random.pick<Operator>(['*', '+', '-'])
    // Products of three digits by two, sums and differences of three to six digits.
    const [left, right] =
      operator === '*'
        ? [number(3), random.integer(13, 99)]
        : [number(random.integer(3, 6)), number(random.integer(3, 6))]
    return arithmeticQuestion('large-arithmetic', left, operator, right)
  })
}

/** `count` questions of each family. */
function comparisons(random: Random, count: number): Question[][] {
  const measured = countries.filter((country) => country.area !== undefined)
  const families: Comparison[] = ['area-larger', 'area-difference', 'area-sum']
  return families.map((family) =>
    distinctQuestions(count, () => {
      const one = random.pick(measured)
      return comparisonQuestion(family, one, pickOther(random, measured, one))
    }),
  )
}

function pickOther(random: Random, choices: readonly Country[], one: Country): Country {
  return random.pick(choices.filter((other) => other.area !== one.area))
}
