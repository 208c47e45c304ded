// Which questions there are for a seed, which of them the cold start teaches by heart, and what each is used for.

import { Random } from '../../core/random.js'
import { type CurriculumQuestion, curriculumUses, distinctQuestions, type Question } from '../question.js'
import { attributes, type City, cities } from './data.js'
import {
  cityQuestion,
  comparisonFamilies,
  comparisonQuestion,
  countryAttributes,
  twoStepQuestion,
} from './questions.js'

// Questions of each family with several calls: asked in RL and evaluation, and practised in the cold start alone.
const askedPerFamily = 200
const practisedPerFamily = 400

/** Questions about `count` cities, half of which the cold start teaches, except for populations, which nobody knows by heart. */
export function createCurriculum(seed: number, count: number, heldOutShare: number): CurriculumQuestion[] {
  const chosen = cities().slice(0, count)
  const taughtCities = new Set(
    new Random(seed, 'taught cities').shuffle(chosen).slice(0, Math.floor(chosen.length / 2)),
  )
  const { split, practise } = curriculumUses(seed, heldOutShare)
  const facts = chosen.flatMap((city) =>
    attributes.map((attribute) => ({
      question: cityQuestion(city, attribute),
      taught: taughtCities.has(city) && attribute !== 'population',
    })),
  )
  const factsThatAre = (taught: boolean): Question[] =>
    facts.filter((fact) => fact.taught === taught).map((fact) => fact.question)
  return [
    ...split(factsThatAre(true), true),
    ...split(factsThatAre(false), false),
    ...severalCalls(seed, chosen).flatMap((family) => [
      ...split(family.slice(0, askedPerFamily), false),
      ...practise(family.slice(askedPerFamily)),
    ]),
  ]
}

/** The families that take several calls, `askedPerFamily + practisedPerFamily` questions each. */
function severalCalls(seed: number, chosen: readonly City[]): Question[][] {
  const random = new Random(seed, 'several calls')
  const perFamily = askedPerFamily + practisedPerFamily
  const twoSteps = countryAttributes.map((attribute) => {
    const askable = chosen.filter((city) => city.country.askable.includes(attribute))
    return distinctQuestions(perFamily, () => twoStepQuestion(random.pick(askable), attribute))
  })
  const comparisons = comparisonFamilies.map((family) =>
    distinctQuestions(perFamily, () => {
      const one = random.pick(chosen)
      const others = chosen.filter((city) => city.population !== one.population)
      return comparisonQuestion(family, one, random.pick(others))
    }),
  )
  return [...twoSteps, ...comparisons]
}
