// The API that users of Transformers and transformers.js know: `import { AutoTokenizer, ... } from "a3b/transformers"`.

export { AutoModelForCausalLM, AutoTokenizer } from "./auto.ts"
export type { PretrainedModelOptions, PretrainedOptions } from "./auto.ts"
export { PreTrainedModel } from "./model.ts"
export type { GenerateParameters } from "./model.ts"
export type { ProgressCallback, ProgressInfo } from "./progress.ts"
export { TextStreamer } from "./streamer.ts"
export type { Streamer, TextStreamerOptions } from "./streamer.ts"
export type {
  BatchEncoding,
  ChatTemplateParameters,
  DecodeParameters,
  PreTrainedTokenizer,
} from "./tokenizer.ts"
