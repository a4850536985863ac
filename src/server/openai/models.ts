// Step 9. /v1/models: the one model that is served, in a form that OpenAI's and Anthropic's clients both read.

import type { Endpoint, RequestContext } from "../endpoint.ts"

/** When the server began to serve it. */
const startedAt = new Date()

export async function listModels(endpoint: Endpoint, c: RequestContext): Promise<Response> {
  const model = await describe(endpoint)
  const ends = { has_more: false, first_id: model.id, last_id: model.id }
  return c.json({ object: "list", data: [model], ...ends })
}

export async function showModel(endpoint: Endpoint, c: RequestContext, id: string): Promise<Response> {
  endpoint.checkModel(id)
  return c.json(await describe(endpoint))
}

async function describe({ service, modelId }: Endpoint) {
  const context = await service.context()
  return {
    id: modelId,
    object: "model",
    created: Math.floor(startedAt.getTime() / 1000),
    owned_by: "a3b",
    type: "model",
    display_name: modelId,
    created_at: startedAt.toISOString(),
    context_length: context,
    max_model_len: context,
  }
}
