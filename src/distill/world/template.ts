// Step 6. nano's chat template: roles between `<|im_start|>` and `<|im_end|>`, thoughts and tools as Qwen3's hybrid
// checkpoints write them, with fewer words about tools, because here every token is learnt.
//
// A tool's description stands before its name: who has found what a tool is for reads on to what it is called, where a
// small model would have to look back otherwise.
//
// Thoughts are shown again only after the user's last question, so within one question what is rendered is what was
// generated, and the prefix cache holds; the empty thought of the plain mode too.

const systemTurn = `{%- set system = messages[0].content if messages[0].role == 'system' else '' %}
{%- if tools %}
    {{- '<|im_start|>system\\n' + (system + '\\n\\n' if system else '') + '<tools>' }}
    {%- for tool in tools %}
        {%- set shown = tool.function if tool.function else tool %}
        {{- '\\n{' + ('"description": ' + shown.description | tojson + ', ' if shown.description else '') }}
        {{- '"name": ' + shown.name | tojson + (', "parameters": ' + shown.parameters | tojson if shown.parameters else '') + '}' }}
    {%- endfor %}
    {{- '\\n</tools>\\nCall: <tool_call>{"name", "arguments"}</tool_call><|im_end|>\\n' }}
{%- elif system %}
    {{- '<|im_start|>system\\n' + system + '<|im_end|>\\n' }}
{%- endif %}`

const lastQuestion = `{%- set question = namespace(index=-1) %}
{%- for message in messages %}
    {%- if message.role == 'user' %}{%- set question.index = loop.index0 %}{%- endif %}
{%- endfor %}`

const assistantTurn = `{{- '<|im_start|>assistant\\n' }}
        {%- set content = message.content if message.content is string else '' %}
        {%- set thought = message.reasoning_content if message.reasoning_content is string else '' %}
        {%- if not thought and '</think>' in content %}
            {%- set thought = content.split('</think>')[0].split('<think>')[-1] %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > question.index %}
            {{- '<think>\\n' + thought.strip('\\n') + '\\n</think>\\n\\n' }}
        {%- endif %}
        {{- content }}
        {%- for call in message.tool_calls or [] %}
            {%- set called = call.function if call.function else call %}
            {{- ('\\n' if content or not loop.first else '') + '<tool_call>\\n{"name": "' + called.name + '", "arguments": ' }}
            {{- called.arguments if called.arguments is string else called.arguments | tojson }}
            {{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}`

const toolTurn = `{%- if loop.first or messages[loop.index0 - 1].role != 'tool' %}{{- '<|im_start|>user' }}{%- endif %}
        {{- '\\n<tool_response>\\n' + message.content + '\\n</tool_response>' }}
        {%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}{{- '<|im_end|>\\n' }}{%- endif %}`

export const nanoTemplate = `${systemTurn}
${lastQuestion}
{%- for message in messages %}
    {%- if message.role == 'assistant' %}
        ${assistantTurn}
    {%- elif message.role == 'tool' %}
        ${toolTurn}
    {%- elif message.role == 'user' or not loop.first %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}
{%- endif %}`
