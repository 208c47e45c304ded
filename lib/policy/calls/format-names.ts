// The call formats by name.

export const toolFormats = ['hermes', 'llama3-json', 'mistral', 'mistral-args'] as const
/**
 * 'hermes': <tool_call>{"name": ..., "arguments": {...}}</tool_call> (Qwen, Hermes).
 * 'llama3-json': a turn that is nothing but {"name": ..., "parameters": {...}}, after <|python_tag|> or not (Llama 3.1 and on).
 * 'mistral': [TOOL_CALLS] [{"name": ..., "arguments": {...}, "id": ...}] at the end of a turn (Mistral 7B v0.3 to Small 3.1).
 * 'mistral-args': [TOOL_CALLS]name[ARGS]{...} at the end of a turn, [CALL_ID] and an id in between or not (later ones).
 */
export type ToolFormat = (typeof toolFormats)[number]
