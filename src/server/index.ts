// The entry `a3b/server`: serves a model over HTTP from code.

export { serve } from "./serve.ts"
export type { ModelServer, ServeOptions } from "./serve.ts"
export type { RunningServer } from "./running-server.ts"
