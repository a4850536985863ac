// One question, one streamed answer, with the short API:
//   npx tsx examples/chat.ts <model> [question]

import { load } from "a3b"

const [model = "Qwen/Qwen3-30B-A3B", question = "There are 35 heads and 94 legs. How many chickens?"] =
  process.argv.slice(2)

await using llm = await load(model, { onNotice: (text) => console.error(text) })

const request = {
  messages: [{ role: "user" as const, content: question }],
  thinking: { budget: 4096 }, // leave it out for an Instruct checkpoint, which cannot think
  signal: AbortSignal.timeout(600_000),
}
for await (const event of llm.chat(request)) {
  if (event.type === "reasoning") process.stderr.write(event.text)
  if (event.type === "content") process.stdout.write(event.text)
  if (event.type === "usage") {
    const { completionTokens, decodeMs } = event.usage
    console.error(
      `\n${completionTokens} tokens, ${((1000 * completionTokens) / decodeMs).toFixed(1)} a second`,
    )
  }
}
console.log()
