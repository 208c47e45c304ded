/**
 * Maps items with at most `limit` calls under way, and returns the results in the order of the items. After the first rejection
 * no call is started; it is passed on once all started calls have ended.
 */
export async function mapConcurrent<Item, Result>(
  items: readonly Item[],
  limit: number,
  work: (item: Item, index: number) => Promise<Result>,
): Promise<Result[]> {
  const results = new Array<Result>(items.length)
  let next = 0
  let failed = false
  const worker = async () => {
    while (next < items.length && !failed) {
      const index = next++
      try {
        results[index] = await work(items[index] as Item, index)
      } catch (error) {
        failed = true
        throw error
      }
    }
  }
  const ended = await Promise.allSettled(Array.from({ length: Math.min(limit, items.length) }, worker))
  const rejected = ended.find((end) => end.status === 'rejected')
  if (rejected) throw rejected.reason
  return results
}
