import { Ajv2020 } from "ajv/dist/2020.js"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { accepts, walk } from "../../test/grammar-walk.ts"
import { seeded } from "../../test/random.ts"
import type { Json } from "../types.ts"
import { Grammar } from "./grammar.ts"
import { SchemaWriter } from "./schema.ts"

function grammarOf(schema: Json): string {
  const grammar = new Grammar()
  return grammar.text(new SchemaWriter(schema, grammar, "schema").expression())
}

// Not derived from the code under test: another project's validator.
const ajv = new Ajv2020({ strict: false, validateFormats: false, unicodeRegExp: true, logger: false })

function checked(schema: Json, text: string): void {
  const value = JSON.parse(text) as Json
  const validate = ajv.compile(schema as object)
  expect([text, validate(value), validate.errors ?? []]).toEqual([text, true, []])
}

type Schema = { [key: string]: Json }
const small = fc.integer({ min: 0, max: 4 })
const decimal = fc.oneof(
  fc.integer({ min: -120, max: 120 }),
  fc.integer({ min: -30_000, max: 30_000 }).map((n) => n / 1000),
)

const text = fc.oneof(
  fc.constant<Schema>({ type: "string" }),
  fc
    .tuple(small, small)
    .map(([a, b]): Schema => ({ type: "string", minLength: Math.min(a, b), maxLength: Math.max(a, b) })),
  fc
    .constantFrom(
      "^[a-z]{2,4}$",
      'a"b',
      "^(?:x|y\\\\|日)+$",
      "^\\d{3}-\\w*$",
      "[^a-z]",
      "^a|b$",
      "^\\p{Lu}.$",
      "^$",
    )
    .map((pattern): Schema => ({ type: "string", pattern })),
  fc
    .constantFrom("date", "time", "date-time", "uuid", "ipv4", "email")
    .map((format): Schema => ({ type: "string", format })),
)
const number = fc
  .record(
    {
      type: fc.constantFrom("integer", "number"),
      minimum: decimal,
      maximum: decimal,
      exclusiveMinimum: decimal,
      exclusiveMaximum: decimal,
    },
    { requiredKeys: ["type"] },
  )
  .map((schema): Schema => schema as Schema)
const listed = fc
  .array(
    fc.oneof(
      fc.string(),
      fc.integer(),
      fc.constant(null),
      fc.constant<Json>({ a: [1, "é\n"] }),
      fc.boolean(),
    ),
    { minLength: 1, maxLength: 4 },
  )
  .map((values): Schema => ({ enum: values as Json[] }))

const anySchema = fc.letrec<{ schema: Schema }>((tie) => ({
  schema: fc.oneof(
    { maxDepth: 3, depthIdentifier: "schema" },
    text,
    number,
    listed,
    fc.constantFrom<Schema[]>({ type: "boolean" }, { type: ["string", "null"] }, {}, { type: "object" }),
    fc
      .record({
        properties: fc.dictionary(
          fc.oneof(fc.constantFrom("name", "a b", "é", '"', "__x"), fc.string({ minLength: 1 })),
          tie("schema"),
          { maxKeys: 4 },
        ),
        closed: fc.constantFrom(undefined, true, false),
        picked: fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
      })
      .map(({ properties, closed, picked }): Schema => ({
        type: "object",
        properties,
        required: Object.keys(properties).filter((_, i) => picked[i]),
        ...(closed !== undefined && { additionalProperties: closed }),
      })),
    fc.tuple(tie("schema"), small).map(([value, maxProperties]): Schema => ({
      type: "object",
      additionalProperties: value,
      maxProperties,
    })),
    fc.tuple(tie("schema"), small, small).map(([items, a, b]): Schema => ({
      type: "array",
      items,
      minItems: Math.min(a, b),
      maxItems: Math.max(a, b),
    })),
    fc
      .tuple(fc.array(tie("schema"), { minLength: 1, maxLength: 3 }), fc.boolean())
      .map(([prefixItems, items]): Schema => ({ type: "array", prefixItems, items })),
    fc.array(tie("schema"), { minLength: 1, maxLength: 3 }).map((anyOf): Schema => ({ anyOf })),
  ),
})).schema

describe("every text of a schema's grammar", () => {
  test("is valid JSON that another validator finds to satisfy the schema", async () => {
    let numEnded = 0
    const property = fc.asyncProperty(anySchema, fc.integer(), async (schema, seed) => {
      let grammar: string
      try {
        grammar = grammarOf(schema)
      } catch (error) {
        expect(String(error)).toMatch(/no value satisfies this schema/)
        return
      }
      const written = await walk(grammar, seeded(seed))
      if (written === undefined) return
      numEnded++
      checked(schema, written)
    })
    await fc.assert(property, { numRuns: 150, seed: 1 })
    expect(numEnded).toBeGreaterThan(75)
  })
})

describe("a grammar", () => {
  test.each<[string, Json, string[], string[]]>([
    [
      "of a whole number's range",
      { type: "integer", minimum: -5, maximum: 1234 },
      ["-5", "0", "9", "1234"],
      ["-6", "1235", "-0", "01", "1.0"],
    ],
    [
      "of an open range",
      { type: "integer", exclusiveMinimum: 17 },
      ["18", "99", "100", "18000"],
      ["17", "9", "-20"],
    ],
    [
      "of a decimal range",
      { type: "number", minimum: 0.25, exclusiveMaximum: 1 },
      ["0.25", "0.250", "0.3", "0.999"],
      ["0.2", "0.249", "1", "1.0", "0"],
    ],
    [
      "of numbers below zero",
      { type: "number", exclusiveMinimum: -1.5, maximum: -0.5 },
      ["-0.5", "-1.49", "-1"],
      ["-1.5", "-0.49", "0", "-2"],
    ],
    [
      "of a counted string",
      { type: "string", minLength: 1, maxLength: 2 },
      ['"é"', '"日本"', '"\\n\\""'],
      ['""', '"abc"', '"a\nb"'],
    ],
    ["of a pattern", { type: "string", pattern: '^a."$' }, ['"ab\\""'], ['"ab""', '"b\\""']],
    [
      "of optional properties",
      { properties: { a: { const: 1 }, b: { const: 2 }, c: { const: 3 } }, required: ["b"] },
      ['{"b":2}', '{"a": 1, "b": 2}', '{"b":2,"c":3}'],
      ["{}", '{"a":1}', '{"b":2,"a":1}', '{"b":2,}'],
    ],
    [
      "of a schema within itself",
      {
        $ref: "#/$defs/node",
        $defs: { node: { type: "object", properties: { next: { $ref: "#/$defs/node" } } } },
      },
      ["{}", '{"next": {"next": {}}}'],
      ['{"next": 1}'],
    ],
    [
      "of the sum of two",
      {
        allOf: [
          { type: "object", properties: { a: { const: 1 } }, required: ["a"] },
          { properties: { b: { const: 2 } }, required: ["b"] },
        ],
      },
      ['{"a":1,"b":2}'],
      ['{"a":1}', '{"b":2}'],
    ],
    [
      "of alternatives told apart",
      {
        oneOf: [
          { type: "object", properties: { k: { const: "a" } }, required: ["k"] },
          { type: "object", properties: { k: { const: "b" }, n: { type: "null" } }, required: ["k"] },
        ],
      },
      ['{"k":"a"}', '{"k":"b","n":null}'],
      ['{"k":"c"}', '{"k":"a","n":null}'],
    ],
  ])("%s has what it should and nothing else", async (_, schema, valid, invalid) => {
    const grammar = grammarOf(schema)
    for (const text of valid) {
      checked(schema, text)
      expect([text, await accepts(grammar, text)]).toEqual([text, true])
    }
    for (const text of invalid) expect([text, await accepts(grammar, text)]).toEqual([text, false])
  })
})

describe("what is wrong or cannot be kept to is refused with its path", () => {
  test.each<[string, Json]>([
    ['schema.properties.a.type is "int": wanted one of', { properties: { a: { type: "int" } } }],
    ['schema.properties["a b"] is 3: wanted a schema', { properties: { "a b": 3 } }],
    ["schema.anyOf[1].minLength is -1: wanted", { anyOf: [true, { minLength: -1 }] }],
    ["schema.required is", { required: ["a", 1] }],
    ["schema.properties is 3: wanted an object of schemas", { properties: 3 }],
    ["schema.items.not: this keyword", { items: { not: {} } }],
    ["schema.multipleOf", { type: "number", multipleOf: 0.1 }],
    ["schema.uniqueItems", { type: "array", uniqueItems: true }],
    ["schema.oneOf: oneOf of alternatives", { oneOf: [{ type: "integer" }, { type: "number" }] }],
    ['schema.$ref: "#/$defs/a"', { $ref: "#/$defs/a" }],
    ["schema.pattern: Invalid regular expression", { type: "string", pattern: "[a" }],
    ["schema.pattern: (?=a)", { type: "string", pattern: "(?=a)b" }],
    ["schema.maxLength: at most 64 characters", { type: "string", maxLength: 1000 }],
    ["schema.$defs.a: no value satisfies", { items: { $ref: "#/$defs/a" }, $defs: { a: false } }],
    ["schema: no value satisfies", { type: "integer", minimum: 3, maximum: 2 }],
  ])("%s", (message, schema) => {
    expect(() => grammarOf(schema)).toThrow(message)
  })
})
