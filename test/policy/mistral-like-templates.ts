// Templates that render like Mistral's. From 7B v0.3 to Small 3.1 calls are a JSON list and carry ids of nine characters, which
// their results repeat; tools stand before the last question, and a system message in that question if it is the last message.
export const mistralLikeTemplate = `{{- bos_token }}
{%- set system = '' %}
{%- if messages[0].role == 'system' %}{%- set system = messages[0].content + '\\n\\n' %}{%- set messages = messages[1:] %}{%- endif %}
{%- set questions = messages | selectattr('role', 'equalto', 'user') | list %}
{%- macro checked(id) %}
{%- if id is not defined or id | length != 9 %}{{- raise_exception('ids of calls have nine characters') }}{%- endif %}{{- id }}
{%- endmacro %}
{%- for message in messages %}
{%- if message.role == 'user' %}
{%- if tools is defined and message == questions[-1] %}{{- '[AVAILABLE_TOOLS] ' + tools | tojson + '[/AVAILABLE_TOOLS]' }}{%- endif %}
{{- '[INST] ' + (system if loop.last else '') + message.content + '[/INST]' }}
{%- elif message.tool_calls is defined %}
{{- '[TOOL_CALLS] [' }}
{%- for call in message.tool_calls %}
{%- set written = call.function | tojson %}
{{- written[:-1] + ', "id": "' + checked(call.id) + '"}' + (']' if loop.last else ', ') }}
{%- endfor %}
{{- eos_token }}
{%- elif message.role == 'tool' %}
{{- '[TOOL_RESULTS] {"content": ' + message.content + ', "call_id": "' + checked(message.tool_call_id) + '"}[/TOOL_RESULTS]' }}
{%- else %}{{- ' ' + message.content + eos_token }}{%- endif %}
{%- endfor %}`

/** Renders like later models' templates: each call after a mark of its own, results without JSON, text before the calls. */
export const mistralArgsLikeTemplate = `{{- bos_token }}
{%- for message in messages %}
{%- if message.role == 'user' %}
{%- if tools is defined and loop.first %}{{- '[AVAILABLE_TOOLS]' + tools | tojson + '[/AVAILABLE_TOOLS]' }}{%- endif %}
{{- '[INST]' + message.content + '[/INST]' }}
{%- elif message.role == 'tool' %}{{- '[TOOL_RESULTS]' + message.content + '[/TOOL_RESULTS]' }}
{%- else %}
{{- message.content }}
{%- for call in message.tool_calls or [] %}
{{- '[TOOL_CALLS]' + call.function.name + '[ARGS]' + call.function.arguments | tojson }}
{%- endfor %}
{{- eos_token }}
{%- endif %}
{%- endfor %}`

/** Tokens of these templates that Mistral's vocabularies have in addition to Llama 2's. */
export const mistralControlTokens = [
  '[INST]',
  '[/INST]',
  '[TOOL_CALLS]',
  '[AVAILABLE_TOOLS]',
  '[/AVAILABLE_TOOLS]',
  '[TOOL_RESULTS]',
  '[/TOOL_RESULTS]',
  '[ARGS]',
]
