// The separation of thoughts from what is said, and rollouts whose template opens a thought, so that each turn begins inside it.
import { expect, it } from 'vitest'
import { endsInThought, splitThought, streamThought } from '../../../lib/policy/calls/thoughts.js'
import type { Message } from '../../../lib/policy/types.js'
import { runRollout } from '../../../lib/rollout/run-rollout.js'
import { defineTool } from '../../../lib/tools/define-tool.js'
import { type ScriptedPolicy, template, tokenizer, turns } from '../../rollout/scripted-policy.js'

const call = '<tool_call>{"name": "search", "arguments": {}}</tool_call>'
const task = { id: 'a', messages: [{ role: 'user', content: '?' } satisfies Message], answer: '1' }

/** `afterResults`: the template opens a thought after results too. */
function thinking(policy: ScriptedPolicy, { afterResults = true } = {}): ScriptedPolicy {
  const opening = tokenizer.encode('<think>\n')
  policy.template = {
    ...template,
    prompt: (messages, tools) => [...template.prompt(messages, tools), ...opening],
    observation: (messages, ended) => [
      ...template.observation(messages, ended),
      ...(afterResults ? opening : []),
    ],
  }
  return policy
}

function searchTool() {
  const runs: unknown[] = []
  const run = (input: unknown) => {
    runs.push(input)
    return 'found'
  }
  return {
    runs,
    search: defineTool({ name: 'search', description: 'Finds things', input: { type: 'object' }, run }),
  }
}

const wholes = [
  ['<think>never ends', '', '', ''],
  ['<think>a</think>b', 'b', 'b', 'b'],
  ['\n<think>a</think>b</think>c', 'b</think>c', 'b</think>c', 'b</think>c'],
  ['a</think>b', 'a</think>b', 'b', 'b'],
  ['a</think>b</think>c', 'a</think>b</think>c', 'b</think>c', 'b</think>c'],
  ['a <think>late</think>b', 'a <think>late</think>b', 'b', 'b'],
  ['a <think>never ends', 'a <think>never ends', '', 'a <think>never ends'],
  ['a', 'a', '', 'a'],
  ['\n <thin', '\n <thin', '', '\n <thin'],
  ['a </thin', 'a </thin', '', 'a </thin'],
  ['', '', '', ''],
] as const

it.each(wholes)(
  '%j says %j; in a thought that the prompt opened %j; of an unknown prompt %j',
  (text, ...said) => {
    for (const [place, inThought] of [false, true, 'unknown' as const].entries()) {
      const split = splitThought(text, inThought)
      expect(split.said, String(inThought)).toBe(said[place])
      expect(split.thought + split.said).toBe(text)
    }
  },
)

it.each(wholes)('%j is taken apart in pieces as it is whole', (text) => {
  for (const inThought of [false, true]) {
    for (let size = 1; size <= text.length; size++) {
      const stream = streamThought(inThought)
      const read = { thought: '', said: '' }
      const add = ({ thought, said }: typeof read) => {
        if (read.said !== '') expect(thought).toBe('')
        read.thought += thought
        read.said += said
      }
      for (let at = 0; at < text.length; at += size) add(stream.feed(text.slice(at, at + size)))
      add(stream.end())
      expect(read, `pieces of ${size}`).toEqual(splitThought(text, inThought))
    }
  }
})

it('gives a thought out as it comes', () => {
  const stream = streamThought()
  expect(stream.feed(' <think>Hm')).toEqual({ thought: ' <think>Hm', said: '' })
  expect(stream.feed('.</th')).toEqual({ thought: '.', said: '' })
  expect(stream.feed('ink>\n\n42')).toEqual({ thought: '</think>', said: '\n\n42' })
})

it('runs no call, and takes no answer, from inside the thought', async () => {
  const { runs, search } = searchTool()
  const policy = thinking(
    turns(
      `Perhaps ${call}? Or <answer>0</answer>?</think>\n\n${call}<|end|>`,
      'So.</think><answer>1</answer><|end|>',
    ),
  )
  const { toolCalls, finalAnswer, wellFormed, messages } = await runRollout(policy, task, [search])
  expect(runs).toHaveLength(1)
  expect(toolCalls).toHaveLength(1)
  expect({ finalAnswer, wellFormed }).toEqual({ finalAnswer: '1', wellFormed: true })
  expect(messages[1]).toMatchObject({
    content: `Perhaps ${call}? Or <answer>0</answer>?</think>`,
    toolCalls: [{ name: 'search' }],
  })
})

it('counts nothing of a thought that does not end', async () => {
  const { runs, search } = searchTool()
  const policy = thinking(turns(`Perhaps ${call}, then <answer>1</answer><|end|>`))
  const { toolCalls, finalAnswer, end } = await runRollout(policy, task, [search])
  expect({ runs, toolCalls, finalAnswer, end }).toEqual({
    runs: [],
    toolCalls: [],
    finalAnswer: undefined,
    end: 'answer',
  })
})

it('reads a turn whole where the template opens no thought after results', async () => {
  const { search } = searchTool()
  const policy = thinking(turns(`hm</think>${call}<|end|>`, '<answer>1</answer><|end|>'), {
    afterResults: false,
  })
  expect((await runRollout(policy, task, [search])).finalAnswer).toBe('1')
})

it("ends the thought before the call that toolChoice 'required' begins", async () => {
  const { runs, search } = searchTool()
  const policy = thinking(
    turns('{"name": "search", "arguments": {}}</tool_call><|end|>', '</think><answer>1</answer><|end|>'),
  )
  const rollout = await runRollout(policy, task, [search], { toolChoice: 'required' })
  expect(runs).toHaveLength(1)
  expect(tokenizer.decode(rollout.tokens)).toContain('assistant: <think>\n\n</think>\n\n<tool_call>{"name"')
})

it.each([
  ['assistant: <think>', true],
  ['assistant: <think>\n\n', true],
  ['assistant: <think>\n\n</think>\n\n', false],
  ['assistant: ', false],
  ['', false],
])('%j opens a thought: %j', (prompt, opens) => {
  expect(endsInThought(tokenizer, tokenizer.encode(prompt))).toBe(opens)
})
