import { mkdtempSync, rmSync, truncateSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import { PackedFile } from "../../../test/packed-weights.ts"
import { seeded } from "../../../test/random.ts"
import { DecodedRows, PackedMatrix } from "./weights.ts"

const folder = mkdtempSync(join(tmpdir(), "a3b-weights-"))
afterAll(() => rmSync(folder, { recursive: true }))
const made = new PackedFile(join(folder, "weights"), seeded(1)).add("experts", "q8_0", [3, 40, 96])
const expected = (expert: number, row: number) =>
  Float32Array.from(made.values.subarray((expert * 40 + row) * 96, (expert * 40 + row + 1) * 96))

// 0 keeps nothing, 10,000 bytes keep one panel of 16 x 96 floats, and 2^20 all nine.
test.each([0, 10_000, 1 << 20])("rows read the same in any order with %i bytes to keep them", (bytes) => {
  const matrix = new PackedMatrix(made.tensor, new DecodedRows(bytes))
  expect([matrix.experts, matrix.rows, matrix.columns]).toEqual([3, 40, 96])
  const places = [0, 39, 16, 15, 17, 0, 32, 1].flatMap((row) =>
    [2, 0, 1, 0].map((expert) => ({ expert, row })),
  )
  for (const { expert, row } of places) expect(matrix.row(expert, row)).toEqual(expected(expert, row))
})

test("memory for decoded rows is handed out until it is used up", () => {
  const kept = new DecodedRows(100)
  expect([kept.take(60), kept.take(60), kept.take(40), kept.take(1)]).toEqual([true, false, true, false])
})

test("what was kept is not read again", () => {
  const own = new PackedFile(join(folder, "shrinks"), seeded(2)).add("experts", "q8_0", [2, 16, 96])
  const matrix = new PackedMatrix(own.tensor, new DecodedRows())
  const row = matrix.row(0, 3).slice()
  truncateSync(own.tensor.path, 0)
  expect(matrix.row(0, 3)).toEqual(row)
  expect(() => matrix.row(1, 3)).toThrow(/ends at byte/)
})
