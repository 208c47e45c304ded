// Rollouts whose template opens a thought: each turn begins inside it.
import { expect, it } from 'vitest'
import { endsInThought } from '../../../lib/policy/calls/thoughts.js'
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
