// The public names, grouped by room, in path order.

// the spine
export { Llm, load } from "./llm.ts"
export type { GenerateRequest, LoadOptions } from "./llm.ts"
export type { GenerationDefaults } from "./generation-defaults.ts"

// conversations kept
export { readSession, writeSession } from "./session.ts"
export type { SavedPage, SavedPages, Session } from "./engine/sessions.ts"

// the spine of a model elsewhere
export { RemoteModel, remote } from "./remote/remote.ts"
export type { RemoteOptions } from "./remote/remote.ts"
export type { Dialect, Identity } from "./remote/dialect.ts"

// the nouns of the path
export type {
  ChatEvent,
  ChatModel,
  ChatRequest,
  FinishReason,
  Json,
  KvUsage,
  Logprob,
  Message,
  ResponseFormat,
  Sampling,
  TextPart,
  Thinking,
  TokenLogprob,
  Tool,
  ToolCall,
  ToolChoice,
  Usage,
} from "./types.ts"

// 2, 8: chat
export type { ChatFormat, ToolFormat } from "./chat/format.ts"
export type { IncomingMessage } from "./chat/messages.ts"
export { ChatTemplate } from "./chat/template.ts"
export type { RenderInput } from "./chat/template.ts"
export type { Family } from "./chat/thinking.ts"
export { addEvent, emptyReply, splitReply } from "./chat/reply.ts"
export type { Reply } from "./chat/reply.ts"

// 3, 7: tokenizer
export { loadTokenizer } from "./tokenizer/tokenizer.ts"
export type { Tokenizer } from "./tokenizer/tokenizer.ts"
export type { DecodeOptions, TextStream } from "./tokenizer/stream.ts"

// 4, 6: engine
export type { Constraint, ConstraintOptions } from "./engine/constraint.ts"
export { Engine } from "./engine/engine.ts"
export type { Health } from "./engine/failures.ts"
export type { BatchModel } from "./engine/batch-model.ts"
export type { EngineOptions, GenerateOptions } from "./engine/engine.ts"
export type { Generation } from "./engine/generation.ts"
export type { IdLogprobs } from "./engine/logprobs.ts"
export type { ThinkingLimit, ThoughtState } from "./engine/thought.ts"
export type { KvPolicy } from "./engine/tiers.ts"

// 5: model and backends
export { parseConfig } from "./model/config.ts"
export type { ModelConfig, Yarn } from "./model/config.ts"
export { planMemory } from "./model/memory.ts"
export type { KvType } from "./model/kv-plan.ts"
export type { MemoryPlan, MemoryRequest } from "./model/memory.ts"
export { Qwen3Moe } from "./model/qwen3moe.ts"
export type { PackedSource, QkNorms } from "./model/weights.ts"
export type {
  Attention,
  Backend,
  Batch,
  BatchSequence,
  CodedTier,
  Experts,
  KvCache,
  KvRows,
  KvShape,
  KvTier,
  PrefillMode,
  Promote,
  Rope,
  Routing,
  Selections,
  Tensor,
  Weight,
} from "./backend/backend.ts"

// weights, before the path
export { prepare } from "./prepare.ts"
export type { PrepareOptions } from "./prepare.ts"
export { openCheckpoint } from "./weights/checkpoint.ts"
export type {
  Checkpoint,
  CheckpointOptions,
  SourcePart,
  SourceTensor,
  SourceType,
} from "./weights/checkpoint.ts"
export type { Format, PackedTensor } from "./weights/format.ts"
export { openPacked } from "./weights/packed.ts"
export type { PackedModel } from "./weights/packed.ts"
export type { PackProgress } from "./weights/pack-meter.ts"
export type { PullPlan, PullProgress } from "./weights/pull.ts"
export type { DownloadProgress } from "./weights/pull-meter.ts"

// failures
export { UserError } from "./util/errors.ts"
export type { ErrorCode } from "./util/errors.ts"
