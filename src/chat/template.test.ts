import { existsSync, readFileSync } from "node:fs"
import { describe, expect, test } from "vitest"
import type { Json, Message, Tool } from "../types.ts"
import { UserError } from "../util/errors.ts"
import { strftime } from "./jinja/strftime.ts"
import { parseJson } from "./json.ts"
import { ChatTemplate } from "./template.ts"

const fixtures = new URL("./jinja/fixtures/", import.meta.url)
const golden = "../shared/data/templates"

/** A render made by Jinja2; `error` where Jinja2 refuses. */
interface Case {
  title: string
  template: string
  variables: string
  rendered?: string
  error?: string
}

interface GoldenCase {
  template: string
  case: string
  kwargs: {
    messages: Message[]
    tools: Tool[] | null
    add_generation_prompt: boolean
    [name: string]: unknown
  }
  rendered?: string
  error?: string
}

/** Renders with variables under Jinja's names. */
function render(source: string, named: Record<string, unknown>): string {
  const { messages, tools, add_generation_prompt, ...variables } = named
  return ChatTemplate.compile(source).render({
    messages: (messages ?? []) as Message[],
    tools: tools as Tool[],
    addGenerationPrompt: add_generation_prompt === true,
    variables: variables as Record<string, Json>,
  })
}

function check(
  source: string,
  named: Record<string, unknown>,
  { rendered, error }: { rendered?: string; error?: string },
) {
  if (error === undefined) expect(render(source, named)).toBe(rendered)
  else expect(() => render(source, named)).toThrow(UserError)
}

function refusal(action: () => unknown): UserError {
  try {
    action()
  } catch (error) {
    if (error instanceof UserError) return error
  }
  throw new Error("it was not refused with a UserError")
}

const cases = JSON.parse(readFileSync(new URL("cases.json", fixtures), "utf8")) as Case[]

describe("renders as Jinja2 does", () => {
  test.each(cases)("$title", (expected) => {
    const { template, variables } = expected
    const source = template.endsWith(".jinja") ? readFileSync(new URL(template, fixtures), "utf8") : template
    check(source, parseJson(variables) as Record<string, unknown>, expected)
  })
})

describe.runIf(existsSync(golden))("renders the official templates as Jinja2 does", () => {
  const path = `${golden}/golden.json`
  const entries = existsSync(path) ? (parseJson(readFileSync(path, "utf8")) as unknown as GoldenCase[]) : []

  test("in 206 cases, 4 of them refused", () => {
    expect([entries.length, entries.filter((entry) => entry.error !== undefined).length]).toEqual([206, 4])
  })

  test.each(entries.map((entry, i) => [`${entry.template} ${entry.case} ${i}`, entry] as const))(
    "%s",
    (_, entry) => {
      check(readFileSync(`${golden}/${entry.template}`, "utf8"), entry.kwargs, entry)
    },
  )
})

describe("a template that is no Jinja is refused when it is compiled", () => {
  test.each([
    ["a wrong end", "{% if a %}\nx\n{% endfor %}", "line 3", "endfor"],
    ["an open string", "a\n{{ 'x }}\n", "line 2", "Unexpected end"],
    ["an unknown tag", "a\n\n{% foo %}\n{{ x }}", "line 3", "foo"],
    ["a missing filter", "a\n{{ x | }}\n{{ y }}", "line 2", "Unexpected token"],
    ["a missing end", "{{ a }}\n{% for x in y %}\nabc", "line 2", "ends inside a block"],
    ["an open comment", "a {# b", "line 1", "comment"],
    ["a strange character", "{{ a }}\n{{ @ }}", "line 2", "@"],
  ])("%s, with its line", (_, source, line, cause) => {
    const error = refusal(() => ChatTemplate.compile(source))
    expect(error.code).toBe("bad-file")
    expect(error.message).toContain(line)
    expect(error.message).toContain(cause)
  })
})

describe("a template", () => {
  test("refuses messages in its own words", () => {
    const error = refusal(() => render("{{ raise_exception('Roles must alternate.') }}", {}))
    expect(error.code).toBe("bad-request")
    expect(error.message).toContain("Roles must alternate.")
  })

  test("refuses what no renderer could take, without a crash", () => {
    const circular: Record<string, unknown> = {}
    circular.self = circular
    expect(refusal(() => render("{{ x | tojson }}", { x: circular })).code).toBe("bad-request")
    expect(refusal(() => render(`{{ ${"(".repeat(20_000)}1${")".repeat(20_000)} }}`, {})).code).toBe(
      "bad-file",
    )
  })

  test("sees the variables it was compiled with, and those of one render before them", () => {
    const template = ChatTemplate.compile("{{ bos_token }}{{ name }}", { bos_token: "<s>", name: "a" })
    const input = { messages: [], addGenerationPrompt: false }
    expect(template.render(input)).toBe("<s>a")
    expect(template.render({ ...input, variables: { name: "b" } })).toBe("<s>b")
  })

  test("is compiled once", () => {
    const source = `{{ 1 }}${"{# long #}".repeat(20_000)}`
    const begin = performance.now()
    ChatTemplate.compile(source)
    const first = performance.now() - begin
    for (let i = 0; i < 10; i++) ChatTemplate.compile(source)
    expect(performance.now() - begin).toBeLessThan(5 * first)
  })

  test("tells plain numbers by their value: whole ones are integers", () => {
    expect(render("{{ a }} {{ b }} {{ c | tojson }}", { a: 1, b: 0.5, c: [1e21, 1e-7, -0] })).toBe(
      "1 0.5 [1e+21, 1e-07, 0]",
    )
  })

  test("dates its prompt in English", () => {
    const date = new Date(2025, 6, 4, 15, 5, 9)
    const parts = "%A %a %d %-d %B %b %Y %y %m %H:%M:%S %I%p %j %F %T %% %Q"
    expect(strftime(date, parts)).toBe(
      "Friday Fri 04 4 July Jul 2025 25 07 15:05:09 03PM 185 2025-07-04 15:05:09 % %Q",
    )
    expect(render("{{ strftime_now('%Y') }}", {})).toBe(String(new Date().getFullYear()))
  })
})
