// What a config.json says about quantised weights: plain floats and FP8 in 128x128 blocks pass, the integer formats
// are refused by name. Knows config fields; never tensors.

import type { Json } from "../types.ts"
import { UserError } from "../util/errors.ts"
import { quoted } from "./file.ts"
import { isObject, type JsonObject } from "./json.ts"
import { scaleBlock } from "./source.ts"

const next = "use the BF16 or FP8 checkpoint, or a GGUF file (Q4_0, Q8_0, Q4_K, Q5_K, Q6_K)"

export function checkQuantisation(config: JsonObject, path: string): void {
  const { quantization_config: quantisation, quantization: mlx } = config
  // MLX writes `quantization`, and since 2024 the same again as a `quantization_config` without a method.
  if (isObject(mlx)) throw refusal(path, `MLX ${bitsOf(mlx)}`)
  if (quantisation === undefined || quantisation === null) return
  if (!isObject(quantisation))
    throw new UserError("bad-file", `${path}: quantization_config is no object: check config.json`)
  const method = quantisation.quant_method
  if (method !== "fp8") throw refusal(path, `${named(method)} ${bitsOf(quantisation)}`)
  const { fmt = "e4m3", weight_block_size: block } = quantisation
  if (fmt !== "e4m3") throw refusal(path, `FP8 of format ${named(fmt)}`)
  const isSquare = Array.isArray(block) && block.length === 2 && block.every((side) => side === scaleBlock)
  if (!isSquare) throw refusal(path, `FP8 without blocks of ${scaleBlock}x${scaleBlock} weights`)
}

/** Of a tensor that only an integer format has, before its type is looked at. */
export function refuseInteger(name: string, path: string): void {
  if (/\.(qweight|qzeros|g_idx)$/.test(name)) throw refusal(path, "GPTQ or AWQ int4")
  if (/\.(weight_packed|weight_shape)$/.test(name)) throw refusal(path, "compressed-tensors int4")
  if (/\.(scales|biases)$/.test(name)) throw refusal(path, "MLX int4")
  if (/\.absmax$|\.quant_state\./.test(name)) throw refusal(path, "bitsandbytes 4-bit")
}

function named(value: Json | undefined): string {
  if (typeof value !== "string") return "an unnamed method"
  return /^[\w-]{1,40}$/.test(value) ? value.toUpperCase() : quoted(value)
}

function bitsOf({ bits }: JsonObject): string {
  return typeof bits === "number" ? `int${bits}` : "quantisation"
}

function refusal(path: string, what: string): UserError {
  return new UserError("unsupported", `${path} holds ${what} weights, which cannot be read yet: ${next}`)
}
