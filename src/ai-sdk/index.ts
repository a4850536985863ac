// The entry `a3b/ai-sdk`: models for the functions of the AI SDK, without a server in between.

export { a3b } from "./language-model.ts"
export type { LanguageModelOptions } from "./language-model.ts"
