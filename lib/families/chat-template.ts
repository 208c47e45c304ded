// How conversations of the built-in task families become text: ChatML with Hermes calls. The tools are not described in the prompt:
// the policy knows its two tools from the cold start, and prompts of a dozen tokens make training in minutes possible.
import type { ChatTemplateSource } from '../policy/chat-template.js'

export const taskTemplate: ChatTemplateSource = {
  endOfTurn: '<|im_end|>',
  template: [
    '{%- for message in messages %}',
    "{{- '<|im_start|>' + message.role + '\\n' }}",
    "{%- if message.role == 'tool' %}{{- '<tool_response>' + message.content + '</tool_response>' }}",
    '{%- else %}{{- message.content }}{%- endif %}',
    '{%- for call in message.tool_calls or [] %}',
    "{{- '<tool_call>' + call.function | tojson + '</tool_call>' }}",
    '{%- endfor %}',
    "{{- '<|im_end|>\\n' }}",
    '{%- endfor %}',
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}",
  ].join('\n'),
}
