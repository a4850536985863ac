// The quick start of Qwen3-30B-A3B's model card, line by line, in TypeScript:
//   npx tsx examples/quickstart.ts [model]

import { AutoModelForCausalLM, AutoTokenizer } from "a3b/transformers"

const model_name = process.argv[2] ?? "Qwen/Qwen3-30B-A3B"

// load the tokenizer and the model
const progress_callback = (info: { status: string; progress?: number }) => {
  if (info.status === "progress")
    process.stderr.write(`\rLoading checkpoint: ${Math.floor(info.progress ?? 0)}%`)
  if (info.status === "done") process.stderr.write("\n")
}
const tokenizer = await AutoTokenizer.from_pretrained(model_name, { progress_callback })
const model = await AutoModelForCausalLM.from_pretrained(model_name, { progress_callback })

// prepare the model input
const prompt = "Give me a short introduction to large language model."
const messages = [{ role: "user" as const, content: prompt }]
const text = tokenizer.apply_chat_template(messages, {
  tokenize: false,
  add_generation_prompt: true,
  enable_thinking: true, // Switches between thinking and non-thinking modes. Default is true.
})
const model_inputs = tokenizer([text])

// conduct text completion
const generated_ids = await model.generate({
  ...model_inputs,
  max_new_tokens: 32768,
})
const output_ids = generated_ids[0].slice(model_inputs.input_ids[0].length)

// parsing thinking content: everything up to the last </think>, or nothing
const index = output_ids.lastIndexOf(tokenizer.convert_tokens_to_ids("</think>")) + 1

const strip = (text: string) => text.replace(/^\n+|\n+$/g, "")
const thinking_content = strip(tokenizer.decode(output_ids.slice(0, index), { skip_special_tokens: true }))
const content = strip(tokenizer.decode(output_ids.slice(index), { skip_special_tokens: true }))

console.log("thinking content:", thinking_content)
console.log("content:", content)

await model.dispose()
