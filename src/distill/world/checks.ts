// Step 6. What an answer must hold, as checks: the boxed result, facts, exact text, JSON.

import type { Json } from "../../types.ts"
import type { Check } from "./script.ts"

/** The last box decides, as in the usual graders; spaces in it do not count. */
export function boxed(answer: string): Check {
  return (content) => {
    const found = [...content.matchAll(/\\boxed\{([^{}]*)\}/g)].at(-1)?.[1]
    if (found === undefined) return `no \\boxed{} in the answer; ${answer} is right`
    const got = found.replace(/\s+/g, "")
    return got === answer.replace(/\s+/g, "") ? undefined : `the box has ${got}, ${answer} is right`
  }
}

/** All of these, each as a whole word where it is Latin text or a number. */
export function mentions(...facts: readonly (string | number)[]): Check {
  return (content) => {
    const missing = facts.find((fact) => !hasWord(content, String(fact)))
    return missing === undefined ? undefined : `the answer does not say ${missing}`
  }
}

export function matches(pattern: RegExp, what: string): Check {
  return (content) => (pattern.test(content) ? undefined : `the answer ${what}`)
}

export function exactly(text: string): Check {
  return (content) => (content.trim() === text ? undefined : `the answer is not ${text}`)
}

/** Nothing but this JSON value; the order of its keys is free. */
export function json(value: Json): Check {
  return (content) => {
    try {
      if (canonical(JSON.parse(content) as Json) === canonical(value)) return undefined
    } catch {
      return "the answer is no JSON"
    }
    return `the JSON is not ${JSON.stringify(value)}`
  }
}

/** The first complaint of several checks. */
export function all(...checks: readonly Check[]): Check {
  return (content) => checks.map((check) => check(content)).find((complaint) => complaint !== undefined)
}

/** A fact that begins or ends with a Latin letter or digit must not go on with one; Chinese has no such ends. */
function hasWord(content: string, fact: string): boolean {
  const text = fact.toLowerCase()
  const escaped = text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&")
  const begin = /^[a-z0-9]/.test(text) ? "(?<![a-z0-9])" : ""
  const end = /[a-z0-9]$/.test(text) ? "(?![a-z0-9])" : ""
  return new RegExp(begin + escaped + end).test(content.toLowerCase())
}

function canonical(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`
  if (typeof value !== "object" || value === null) return JSON.stringify(value)
  const keys = Object.keys(value).sort()
  return `{${keys.map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`).join(",")}}`
}
