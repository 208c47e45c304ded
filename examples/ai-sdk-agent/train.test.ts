import { it } from 'vitest'
import { tryExample } from '../shop/try-example.js'
import { train } from './train.js'

it('trains an AI SDK agent through the server', async () => {
  await tryExample(train)
}, 180_000)
