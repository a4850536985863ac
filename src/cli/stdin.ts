// Text that is piped in, read to its end.

import { text } from "node:stream/consumers"

export function readStdin(): Promise<string> {
  return text(process.stdin)
}
