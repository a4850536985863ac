// Between steps 1 and 4. Where the grammars' thread begins. When the module in it fails, whose memory then is not to
// be trusted, the thread ends after it has said so.

import { parentPort } from "node:worker_threads"
import { assert } from "../util/errors.ts"
import { GrammarDesk } from "./grammar-desk.ts"
import type { GrammarOrder, GrammarReport } from "./grammar-desk.ts"

const port = parentPort
assert(port, "grammar-worker runs as a thread")
const desk = new GrammarDesk(
  (report: GrammarReport) => port.postMessage(report),
  () => port.close(),
)
port.on("message", (order: GrammarOrder) => desk.take(order))
