import { expect, test } from "vitest"
import { generationDefaults } from "./generation-defaults.ts"

const qwen = {
  do_sample: true,
  temperature: 0.6,
  top_k: 20,
  top_p: 0.95,
  eos_token_id: [151645, 151643],
  transformers_version: "4.51.0",
}

test("what generation_config.json says is taken; the rest does nothing", () => {
  expect(generationDefaults({}, qwen).sampling).toEqual({
    temperature: 0.6,
    topK: 20,
    topP: 0.95,
    minP: 0,
    presencePenalty: 0,
    frequencyPenalty: 0,
    repetitionPenalty: 1,
  })
  expect(generationDefaults({}, { ...qwen, repetition_penalty: 1.05 }).sampling.repetitionPenalty).toBe(1.05)
})

test("without sampling the largest logit is taken", () => {
  expect(generationDefaults({}, { ...qwen, do_sample: false }).sampling.temperature).toBe(0)
})

test("every ending id counts, also those that config.json leaves out", () => {
  expect([...generationDefaults({ eos_token_id: 151645 }, qwen).stopIds]).toEqual([151645, 151643])
  expect([...generationDefaults({ eos_token_id: 151645 }).stopIds]).toEqual([151645])
})

test("a checkpoint without an ending id and one with nonsense are refused", () => {
  expect(() => generationDefaults({}, {})).toThrow("no reply would end")
  expect(() => generationDefaults({ eos_token_id: "end" })).toThrow("eos_token_id is")
  expect(() => generationDefaults({}, { ...qwen, top_k: "many" })).toThrow('top_k "many"; wanted a number')
})
