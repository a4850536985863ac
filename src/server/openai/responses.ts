// Steps 1 and 9. /v1/responses, without state: the same writer makes the stream and, unheard, the whole response.

import { newId, now } from "../endpoint.ts"
import type { Endpoint, RequestContext } from "../endpoint.ts"
import { eventResponse } from "../sse.ts"
import { readResponsesOrder } from "./responses-request.ts"
import { ResponsesWriter } from "./responses-writer.ts"

export async function responses(endpoint: Endpoint, c: RequestContext): Promise<Response> {
  const { model: name, request, delivery, echo } = readResponsesOrder(await endpoint.body(c))
  endpoint.checkModel(name)
  const priority = endpoint.priority(c, request.priority)
  const replies = await endpoint.service.begin(endpoint.caller(c), (model, signal) => [
    model.chat({ ...request, priority, signal }),
  ])
  const head = { id: newId("resp_"), created_at: now(), model: endpoint.modelId, echo }
  const writer = new ResponsesWriter(head)
  if (delivery === "stream") return eventResponse(replies, writer, (error) => endpoint.onFailure(c, error))
  for await (const { choice, event } of replies) writer.push(choice, event)
  return c.json(writer.response("over"))
}
