// Steps 1 and 9. /v1/messages and /v1/messages/count_tokens.

import { newId } from "../endpoint.ts"
import type { Endpoint, RequestContext } from "../endpoint.ts"
import { readMessagesOrder, readPromptOrder } from "./messages-request.ts"
import { MessagesWriter, messageOf } from "./messages-writer.ts"

export async function messages(endpoint: Endpoint, c: RequestContext): Promise<Response> {
  const order = readMessagesOrder(await endpoint.body(c))
  endpoint.checkModel(order.model)
  const priority = endpoint.priority(c)
  const replies = await endpoint.service.begin(endpoint.caller(c), (model, signal) => [
    model.chat({ ...order.request(model.family), priority, signal }),
  ])
  const head = { id: newId("msg_"), model: endpoint.modelId }
  const delivery = { delivery: order.delivery, numReplies: 1 }
  return endpoint.deliver(c, replies, delivery, {
    writer: () => new MessagesWriter(head),
    whole: ([reply]) => messageOf(head, reply),
  })
}

export async function countTokens(endpoint: Endpoint, c: RequestContext): Promise<Response> {
  const order = readPromptOrder(await endpoint.body(c))
  endpoint.checkModel(order.model)
  const input_tokens = await endpoint.service.look(
    async (model) => (await model.encode(await model.render(order.request(model.family)))).length,
  )
  return c.json({ input_tokens })
}
