// How the page looks and whether everybody can use it: on a desk and on a phone, light and dark, in both languages.
// With `SHOTS=<folder>` it leaves pictures there.

import type { Browser, Page as Tab } from "playwright-core"
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest"
import { TalkingModel } from "./replies.ts"
import { desktop, expectAccessible, openBrowser, openTab, phone, serve, shoot } from "./site.ts"

let browser: Browser

beforeAll(async () => {
  browser = await openBrowser()
})

afterAll(() => browser.close())

const sizes = { "1280": desktop, "390": phone }
const words = {
  "en-US": { ask: "How many prime numbers are there below 100?", settings: "Settings", engine: "Engine" },
  "zh-CN": { ask: "100 以内有多少个质数？", settings: "设置", engine: "引擎" },
}

describe.each([
  ["1280", "light", "en-US"],
  ["1280", "dark", "zh-CN"],
  ["390", "dark", "en-US"],
  ["390", "light", "zh-CN"],
] as const)("at %s pixels, %s, in %s", (size, colorScheme, locale) => {
  const { ask, settings, engine } = words[locale]
  const name = (what: string) => `${what}-${size}-${colorScheme}-${locale.slice(0, 2)}`

  async function looked(tab: Tab, what: string): Promise<void> {
    await shoot(tab, name(what))
    await expectAccessible(tab)
    const width = await tab.evaluate<number>("document.documentElement.scrollWidth")
    expect(width).toBe(sizes[size].width)
  }

  test("every part fits, and axe finds nothing", async () => {
    const model = new TalkingModel()
    const server = await serve(model)
    const { tab, wrong, close } = await openTab(browser, server.url, {
      viewport: sizes[size],
      colorScheme,
      locale,
      hasTouch: size === "390",
    })
    onTestFinished(async () => {
      await close()
      await server.close(0)
      expect(wrong).toEqual([])
    })
    await looked(tab, "welcome")
    model.paceMs = 25
    await tab.locator("#message").fill(ask)
    await tab.keyboard.press("Enter")
    await tab.locator(".thought .katex, .thought p:has-text('97')").first().waitFor()
    await looked(tab, "thinking")
    model.paceMs = 0
    await tab.locator(".reply .actions").waitFor()
    await tab.locator(".katex-display").waitFor()
    await looked(tab, "answer-end")
    await tab.locator(".thread").press("Home")
    await tab.locator(".to-latest").waitFor()
    await looked(tab, "answer")
    await tab.getByRole("button", { name: settings }).click()
    await looked(tab, "settings")
    await tab.keyboard.press("Escape")
    model.paceMs = 20
    await tab.keyboard.press("Alt+r")
    await tab.getByRole("button", { name: engine }).click({ force: true })
    await tab.waitForTimeout(3200)
    await looked(tab, "engine")
    await tab.keyboard.press("Escape")
    await tab.keyboard.press("Escape")
    if (size === "390") {
      await tab.keyboard.press("Alt+b")
      await looked(tab, "sidebar")
      await tab.keyboard.press("Escape")
    }
    await tab.keyboard.press("Alt+n")
    await tab.locator("body").press("?")
  })
})
