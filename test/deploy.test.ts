// The examples of deployment as far as they can be checked without a GPU: their form, their flags beside the page that
// explains them, and what must not be in them.

import { readFileSync, readdirSync } from "node:fs"
import { describe, expect, test } from "vitest"
import { parseDocument } from "yaml"

interface Service {
  image: string
  command: string[]
  environment: Record<string, string>
  ports: string[]
  volumes: string[]
  healthcheck: { test: string[] }
  deploy: {
    resources: { reservations: { devices: { driver: string; count: number; capabilities: string[] }[] } }
  }
}

interface Compose {
  services: Record<string, Service>
  volumes: Record<string, null>
}

const folder = new URL("../examples/deploy/", import.meta.url)
const page = readFileSync(new URL("../docs/deploy.md", import.meta.url), "utf8")

/** What the page says about one server, and the variables that it names. */
function sectionOf(title: string): string {
  const section = page.split(/^## /m).find((text) => text.startsWith(`${title}\n`))
  if (section === undefined) throw new Error(`docs/deploy.md has no section ${title}`)
  return section
}

const flagsIn = (text: string) => [...new Set(text.match(/(?<![\w-])--[a-z][a-z-]+/g) ?? [])].sort()

/** Keys of services that the Compose specification has and these files use. */
const serviceKeys = [
  "command",
  "deploy",
  "entrypoint",
  "environment",
  "healthcheck",
  "image",
  "ipc",
  "ports",
  "restart",
  "volumes",
]

test("there is an example for each server that the page has a section for", () => {
  expect(readdirSync(folder).sort()).toEqual(["sglang.compose.yaml", "vllm.compose.yaml"])
})

describe.each([
  ["vllm", "vLLM"],
  ["sglang", "SGLang"],
])("%s.compose.yaml", (name, title) => {
  const text = readFileSync(new URL(`${name}.compose.yaml`, folder), "utf8")
  const document = parseDocument(text, { strict: true, uniqueKeys: true })
  const { services, volumes } = document.toJS() as Compose // each field is looked at below
  const service = services[name]

  test("is YAML without errors or doubtful places", () => {
    expect([...document.errors, ...document.warnings]).toEqual([])
  })

  test("has one service, of keys that Compose knows", () => {
    expect(Object.keys(services)).toEqual([name])
    expect(serviceKeys).toEqual(expect.arrayContaining(Object.keys(service)))
    expect(Object.keys(volumes)).toEqual(service.volumes.map((volume) => volume.split(":")[0]))
  })

  test("asks for a GPU, in the form that Compose wants", () => {
    const { devices } = service.deploy.resources.reservations
    expect(devices).toEqual([{ driver: "nvidia", count: 1, capabilities: ["gpu"] }])
  })

  test("has every flag that the page explains, and no other", () => {
    const table = sectionOf(title)
      .split("\n")
      .filter((line) => line.startsWith("|"))
      .map((line) => line.split("|")[1])
    expect(flagsIn(service.command.join(" "))).toEqual(flagsIn(table.join(" ")))
  })

  test("names no variable that the page does not", () => {
    const variables = [...text.matchAll(/\$\{(\w+)/g)].map(([, variable]) => variable)
    expect(
      variables.filter((variable) => !page.includes(`\`${variable}\``) && !page.includes(`$${variable}`)),
    ).toEqual([])
  })

  test("has no key in it, and does not start without one", () => {
    const key = `${name.toUpperCase()}_API_KEY`
    expect(service.environment[key]).toMatch(/^\$\{\w+_API_KEY:\?/)
    for (const [variable, value] of Object.entries(service.environment))
      if (/KEY|TOKEN/.test(variable)) expect(value).toMatch(new RegExp(`^\\$\\{${variable}:[?-]`))
  })

  test("is open to this machine only, and is watched where it listens", () => {
    expect(service.ports).toHaveLength(1)
    const [, outside, inside] = /^127\.0\.0\.1:(\d+):(\d+)$/.exec(service.ports[0]) ?? []
    expect(outside).toBe(inside)
    expect(service.command.join(" ")).toMatch(new RegExp(`--port[= ]${inside}\\b`))
    expect(service.healthcheck.test.at(-1)).toBe(`http://127.0.0.1:${inside}/health`)
  })
})

test("vLLM is told the tags of a thought, in JSON", () => {
  const { services } = parseDocument(
    readFileSync(new URL("vllm.compose.yaml", folder), "utf8"),
  ).toJS() as Compose // checked above
  const [config] = services.vllm.command.flatMap((flag) => /^--reasoning-config=(.*)$/.exec(flag)?.[1] ?? [])
  expect(JSON.parse(config)).toEqual({ reasoning_start_str: "<think>", reasoning_end_str: "</think>" })
})
