// Steps 1 and 9. /tokenize and /detokenize, with the fields that vLLM's and llama.cpp's servers have.

import { z } from "zod"
import { check } from "./body.ts"
import type { Endpoint, RequestContext } from "./endpoint.ts"
import { readChatOrder } from "./openai/chat-request.ts"
import type { ServedModel } from "./served-model.ts"
import type { Json } from "../types.ts"

const text = z.object({ prompt: z.string().nullish(), content: z.string().nullish() })
const ids = z.object({ tokens: z.array(z.number().int().min(0)) })

export async function tokenize(endpoint: Endpoint, c: RequestContext): Promise<Response> {
  const body = await endpoint.body(c)
  const answer = await endpoint.service.look(async (model) => {
    const tokens = [...(await model.encode(await promptOf(body, model)))]
    return { tokens, count: tokens.length, max_model_len: model.context }
  })
  return c.json(answer)
}

export async function detokenize(endpoint: Endpoint, c: RequestContext): Promise<Response> {
  const { tokens } = check(ids, await endpoint.body(c))
  const decoded = await endpoint.service.look((model) => model.decode(tokens))
  return c.json({ prompt: decoded, content: decoded })
}

/** A text as it is, or messages as the model would read them. */
async function promptOf(body: Json, model: ServedModel): Promise<string> {
  if (typeof body === "object" && body !== null && "messages" in body)
    return model.render(readChatOrder(body).request)
  const { prompt, content } = check(text, body)
  return prompt ?? content ?? ""
}
