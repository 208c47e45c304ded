// A template that renders like Llama 3.1's: headers, tools in the first question, results from "ipython", one JSON call per turn.
export const llama3LikeTemplate = `{{- bos_token }}
{%- if not date_string is defined %}{%- set date_string = strftime_now("%d %b %Y") %}{%- endif %}
{%- macro header(role) %}{{- '<|start_header_id|>' + role + '<|end_header_id|>\\n\\n' }}{%- endmacro %}
{{- header('system') + 'Today Date: ' + date_string + '\\n\\n<|eot_id|>' }}
{%- for message in messages %}
{%- if message.role == 'tool' %}{{- header('ipython') + message.content + '<|eot_id|>' }}
{%- elif message.tool_calls is defined %}
{%- if message.tool_calls | length != 1 %}{{- raise_exception('This model only supports single tool-calls at once!') }}{%- endif %}
{%- set call = message.tool_calls[0].function %}
{{- header('assistant') + '{"name": "' + call.name + '", "parameters": ' + call.arguments | tojson + '}' + '<|eot_id|>' }}
{%- else %}
{{- header(message.role) }}
{%- if tools is defined and loop.first %}
{{- 'Respond with JSON for a function call {"name": function name, "parameters": dictionary}.\\n\\n' }}
{%- for tool in tools %}{{- tool | tojson(indent=4) + '\\n\\n' }}{%- endfor %}
{%- endif %}
{{- message.content | trim + '<|eot_id|>' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- header('assistant') }}{%- endif %}`
