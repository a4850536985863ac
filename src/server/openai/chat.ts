// Steps 1 and 9. /v1/chat/completions.

import { newId, now } from "../endpoint.ts"
import type { Endpoint, RequestContext } from "../endpoint.ts"
import { readChatOrder } from "./chat-request.ts"
import { ChatWriter, chatCompletion } from "./chat-writer.ts"
import { samplingOfChoice } from "./fields.ts"

export async function chatCompletions(endpoint: Endpoint, c: RequestContext): Promise<Response> {
  const order = readChatOrder(await endpoint.body(c))
  endpoint.checkModel(order.model)
  const { request, numReplies } = order
  const priority = endpoint.priority(c, request.priority)
  const replies = await endpoint.service.begin(endpoint.caller(c), (model, signal) =>
    Array.from({ length: numReplies }, (_, choice) => {
      const sampling = samplingOfChoice(request.sampling ?? {}, choice)
      return model.chat({ ...request, sampling, priority, signal })
    }),
  )
  const head = { id: newId("chatcmpl-"), created: now(), model: endpoint.modelId }
  return endpoint.deliver(c, replies, order, {
    writer: () => new ChatWriter(head, order),
    whole: (all) => chatCompletion(head, all),
  })
}
