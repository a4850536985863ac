import { expect, test } from "vitest"
import type { Tolerances } from "../../../test/backend-conformance.ts"
import { describeBackend } from "../../../test/backend-conformance.ts"
import { instructionSets, loadCpuBackend } from "./cpu.ts"
import { loadAddon } from "./native.ts"

// Sums are float32 over 16 lanes. An inner activation of an expert that lies between two int8 codes may fall to the
// other one: a step is 1/127 of its group's largest value.
const tolerances: Tolerances = {
  rows: 2e-6,
  products: 4e-6,
  attention: 1e-5,
  experts: 0.02,
  activations: "int8",
}

for (const isa of instructionSets())
  describeBackend(`cpu (${isa})`, () => loadCpuBackend({ isa, threads: 2 }), tolerances)

test("an instruction set that this CPU lacks is refused by name", () => {
  expect(() => loadCpuBackend({ isa: "sse9" })).toThrow(/no sse9; it has: /)
  expect(() => loadCpuBackend({ threads: 0 })).toThrow(/threads is 0/)
})

test("a freed engine refuses work", () => {
  const addon = loadAddon()
  const engine = addon.create(1, "")
  addon.free(engine)
  expect(() => addon.isa(engine)).toThrow(/no engine/)
})
