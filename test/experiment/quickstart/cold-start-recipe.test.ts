// The shipped weights of a cold start belong to one recipe: questions, conversations, tokenizer, model, settings.
import { describe, expect, it } from 'vitest'
import { coldStartRecipe } from '../../../lib/experiment/quickstart/cold-start-recipe.js'
import { quickstartSettings } from '../../../lib/experiment/quickstart/settings.js'
import { createAtlas } from '../../../lib/families/atlas/atlas.js'
import { readShippedColdStart } from '../../../lib/families/shipped-cold-start.js'

const { coldStart } = quickstartSettings.atlas
const family = createAtlas({ seed: 0 })
const conversations = await family.coldStart()
const recipe = coldStartRecipe(family, conversations, coldStart, 0)

describe('coldStartRecipe', () => {
  it('is what the weights that come with hdpo were trained by', async () => {
    const { recipe: shipped, commands } = await readShippedColdStart('atlas')
    expect(recipe, `the cold start has changed: make its weights again, ${commands.join(', then ')}`).toBe(
      shipped,
    )
  })

  it('follows from seed, settings, model, tokenizer, template and every conversation', () => {
    const last = conversations.at(-1) as (typeof conversations)[number]
    const changed = [
      coldStartRecipe(family, conversations, coldStart, 1),
      coldStartRecipe(family, conversations, { ...coldStart, epochs: coldStart.epochs + 1 }, 0),
      coldStartRecipe({ ...family, model: { ...family.model, layers: 5 } }, conversations, coldStart, 0),
      coldStartRecipe(
        { ...family, template: { ...family.template, template: `${family.template.template}{# new #}` } },
        conversations,
        coldStart,
        0,
      ),
      coldStartRecipe(
        family,
        [
          ...conversations.slice(0, -1),
          { ...last, kind: 'direct' as const, messages: [...last.messages].reverse() },
        ],
        coldStart,
        0,
      ),
    ]
    expect(new Set([recipe, ...changed]).size).toBe(changed.length + 1)
  })
})
