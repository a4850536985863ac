import { describe, expect, test } from "vitest"
import type { Json, Tool } from "../types.ts"
import { coerce, kindsOf } from "./coerce.ts"

const tools = (schema: Json): Tool[] => [
  { type: "function", function: { name: "f", parameters: { type: "object", properties: { p: schema } } } },
]

/** The JSON text of `text` for a parameter with this schema. */
function json(text: string, schema: Json): string {
  return coerce(text, kindsOf(tools(schema), "f", "p"))
}

describe("a parameter's value", () => {
  test.each([
    ["30", { type: "integer" }, "30"],
    [" -1.50e3\n", { type: "number" }, "-1.50e3"],
    ["1.0", { type: "number" }, "1.0"],
    ["12345678901234567890", { type: "integer" }, "12345678901234567890"],
    ["thirty", { type: "integer" }, '"thirty"'],
    ["030", { type: "integer" }, '"030"'],
    ["True", { type: "boolean" }, "true"],
    ["false", { type: "boolean" }, "false"],
    ["yes", { type: "boolean" }, '"yes"'],
    ["None", { type: "integer" }, "null"],
    ["null", { type: ["string", "null"] }, "null"],
    ["null", { type: ["string", "number"] }, '"null"'],
    ["5", { type: ["string", "number"] }, "5"],
    ["5", { anyOf: [{ type: "string" }, { type: "integer" }] }, "5"],
    ["5", { oneOf: [{ type: "boolean" }, { type: "null" }] }, '"5"'],
    ["2", { enum: [1, 2] }, "2"],
    ['{"a": [1.0,  {"b": null}]}', { type: "object" }, '{"a": [1.0,  {"b": null}]}'],
    ["['x', 1, None, True]", { type: "array" }, '["x", 1, null, true]'],
    [`{'a': "it's", 'b': (1, 2)}`, { type: "object" }, `{"a": "it's", "b": [1, 2]}`],
    [String.raw`['a\'b"c\n\x41']`, { type: "array" }, String.raw`["a'b\"c\n\u0041"]`],
    ["[1, 2", { type: "array" }, '"[1, 2"'],
    ["7", { type: "array" }, '"7"'],
  ] as [string, Json, string][])("%j of %j is %s", (text, schema, expected) => {
    expect(json(text, schema)).toBe(expected)
    expect(() => JSON.parse(expected)).not.toThrow()
  })

  test.each([
    ["no tool of that name", [], "string"],
    ["no schema", tools({}), "string"],
    ["a string with choices", tools({ enum: ["a", "b"] }), "string"],
    ["a string", tools({ type: "string" }), "string"],
  ])("is a string with %s", (_, declared, kind) => {
    expect([...kindsOf(declared, "f", "p")]).toEqual([kind])
  })
})
