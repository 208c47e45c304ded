// What the shop knows: 16 items with a price and a number in stock, drawn at random.
const names =
  'lamp chair table clock vase plate spoon knife bowl glass mirror carpet pillow towel basket candle'.split(
    ' ',
  )

/** Two digits that follow from the text, so that every run has the same shop. */
function number(text: string): string {
  let hash = 17
  for (const character of text) hash = (hash * 31 + character.charCodeAt(0)) % 9973
  return String(10 + (hash % 90))
}

export const priceOf = (item: string): string | undefined =>
  names.includes(item) ? number(`price ${item}`) : undefined
export const stockOf = (item: string): string | undefined =>
  names.includes(item) ? number(`stock ${item}`) : undefined

export interface ShopQuestion {
  id: string
  question: string
  tool: 'price' | 'stock'
  item: string
  answer: string
  /** The model has learnt the answer by heart: a call would be redundant. */
  taught: boolean
}

/** Every second item is taught. */
export const questions: ShopQuestion[] = names.flatMap((item, index) =>
  (['price', 'stock'] as const).map((tool) => ({
    id: `${tool}-of-${item}`,
    question: `${tool} of ${item}?`,
    tool,
    item,
    answer: (tool === 'price' ? priceOf(item) : stockOf(item)) as string,
    taught: index % 2 === 0,
  })),
)
