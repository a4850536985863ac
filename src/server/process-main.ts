// Between steps 1 and 2. Where a model's process begins: orders come from the server's process, and when that is gone
// this one goes too. Ctrl-C reaches both; the server says when to end.

import { load } from "../llm.ts"
import type { LoadOptions } from "../llm.ts"
import { assert } from "../util/errors.ts"
import { LocalModel } from "./local-model.ts"
import type { Order } from "./model-link.ts"
import { ProcessDesk } from "./process-desk.ts"

assert(process.send, "process-main runs as a process of the server's")
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => undefined)
process.on("disconnect", () => process.exit())

const desk = new ProcessDesk(
  async ({ model, options }, more) =>
    new LocalModel(await load(model, { ...(options as LoadOptions), ...more })),
  (report) => void process.send?.(report),
)
process.on("message", (order: Order) => void desk.take(order))
