// Wrong options of servers, of their rollouts and of the rollouts' outcomes.
import { afterAll, describe, expect, it } from 'vitest'
import { checkOutcome } from '../../lib/rollout/outcome.js'
import { createServer } from '../../lib/server/create-server.js'
import { refuses } from '../core/wrong-options.js'
import { ServedPolicy } from './served-policy.js'

const policy = new ServedPolicy(() => '')

describe('createServer refuses', () => {
  refuses(
    (change) => createServer({ policy, ...(change as object) }),
    [
      [{ policy: 'x' }, "createServer.policy: must be a policy, got 'x'"],
      [{ model: '' }, "createServer.model: must be text that is not empty, got ''"],
      [{ aliases: 'x' }, "createServer.aliases: must be a list, got 'x'"],
      [{ token: 'short' }, 'createServer.token: must be text of at least 16 characters, got 5 characters'],
      [
        { tokens: 'short' },
        'createServer.tokens: must be left out (there is no such option; did you mean token?), got 5 characters',
      ],
      [{ sampling: { temperature: -1 } }, 'createServer.sampling.temperature: must be at least 0, got -1'],
      [{ sampling: { topP: 0 } }, 'createServer.sampling.topP: must be 0.000001 to 1, got 0'],
      [{ maxRollouts: 0 }, 'createServer.maxRollouts: must be a whole number of at least 1, got 0'],
      [{ idleTimeout: 0 }, 'createServer.idleTimeout: must be greater than 0 and at most 2147483647, got 0'],
      [
        { baseURL: 'here' },
        "createServer.baseURL: must be an address such as http://127.0.0.1:3000/v1, got 'here'",
      ],
      [{ onRollout: {} }, 'createServer.onRollout: must be a function, got {}'],
      [{ signal: {} }, 'createServer.signal: must be an AbortSignal, got {}'],
    ],
  )
})

describe('a server', () => {
  const server = createServer({ policy, baseURL: 'http://host/v1' })
  afterAll(() => server.close())
  const task = { id: 'one' }

  refuses(
    (change) => server.startRollout({ task, ...(change as object) }),
    [
      [{ task: 'one' }, "startRollout.task: must be a task: { id, metadata? }, got 'one'"],
      [{ maxTokens: 0 }, 'startRollout.maxTokens: must be a whole number of at least 1, got 0'],
      [{ toolChoice: 'required' }, "startRollout.toolChoice: must be one of auto, none, got 'required'"],
      [{ sampling: { minP: 2 } }, 'startRollout.sampling.minP: must be 0 to 1, got 2'],
    ],
  )
  refuses(
    (options) => server.listen(options),
    [
      [{ port: -1 }, 'listen.port: must be a whole number from 0 to 65535, got -1'],
      [{ host: '' }, "listen.host: must be text that is not empty, got ''"],
    ],
  )

  it('says in words why it cannot listen', async () => {
    const first = createServer({ policy })
    const { url } = await first.listen()
    const port = Number(new URL(url).port)
    await expect(server.listen({ port })).rejects.toMatchObject({
      code: 'ERR_SYSTEM',
      message: `cannot listen on 127.0.0.1:${port}: the port is in use already (EADDRINUSE)`,
    })
    await first.close()
  })
})

describe('checkOutcome refuses', () => {
  refuses(checkOutcome, [
    [null, 'outcome: must be an object, got null'],
    [{}, 'outcome: must be an object with correct, reward or answer, got {}'],
    [
      { right: true },
      'outcome.right: must be left out (there is no such option; known: correct, reward, answer), got true',
    ],
    [{ correct: 'yes' }, "outcome.correct: must be true or false, got 'yes'"],
    [{ answer: 5 }, 'outcome.answer: must be text, got 5'],
    [{ reward: 2 }, 'outcome.reward: must be 0 to 1, got 2'],
    [
      { correct: false, reward: 1 },
      'outcome.reward: must be 1 where correct is true, and less where it is false, got 1',
    ],
  ])
})
