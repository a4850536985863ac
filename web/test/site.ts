// The page as a user has it, for tests in a browser: built, sent by the real server, in a browser of this machine.

import { existsSync, mkdirSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import axe from "axe-core"
import { chromium } from "playwright-core"
import type { Browser, BrowserContextOptions, Page as Tab } from "playwright-core"
import { expect } from "vitest"
import { createApp } from "../../src/server/app.ts"
import type { AppOptions } from "../../src/server/app.ts"
import { Page } from "../../src/server/page.ts"
import type { ServedModel } from "../../src/server/served-model.ts"
import { listen } from "../../src/server/server.ts"
import type { RunningServer } from "../../src/server/running-server.ts"

const built = fileURLToPath(new URL("../../dist/web", import.meta.url))

/** Where a browser may be; `CHROMIUM` names another. */
const browsers = [
  process.env.CHROMIUM,
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
]

export const desktop = { width: 1280, height: 860 }
export const phone = { width: 390, height: 844 }

export async function openBrowser(): Promise<Browser> {
  const executablePath = browsers.find((path) => path !== undefined && existsSync(path))
  if (executablePath === undefined)
    throw new Error("no Chromium was found: install one (Debian: apt-get install chromium) or set CHROMIUM")
  // The sandbox needs rights that a container's root has not; the pages are our own.
  return chromium.launch({ executablePath, args: process.getuid?.() === 0 ? ["--no-sandbox"] : [] })
}

export function serve(model: ServedModel, options: Partial<AppOptions> = {}): Promise<RunningServer> {
  const app = createApp({
    open: async () => model,
    modelId: "Qwen3-30B-A3B",
    aliases: [],
    origins: [],
    reach: "local",
    maxBodyBytes: 1 << 24,
    maxRequests: 64,
    maxRequestMs: 60_000,
    log: (line) => void process.stderr.write(`${line}\n`),
    page: Page.read(built),
    ...options,
  })
  return listen(app, { host: "127.0.0.1", port: 0 })
}

/** A tab on the page, in which nothing may go wrong and nothing may be asked of anyone else. */
export async function openTab(browser: Browser, url: string, options: BrowserContextOptions = {}) {
  const context = await browser.newContext({
    viewport: desktop,
    locale: "en-US",
    colorScheme: "light",
    ...options,
  })
  const tab = await context.newPage()
  const wrong: string[] = []
  tab.on("pageerror", (error) => wrong.push(String(error)))
  tab.on("console", (message) => {
    if (message.type() === "error") wrong.push(message.text())
  })
  tab.on("request", (request) => {
    if (!request.url().startsWith(url) && !request.url().startsWith("blob:")) wrong.push(request.url())
  })
  await tab.goto(url)
  await tab.locator("#message").waitFor()
  return { tab, wrong, close: () => context.close() }
}

/** Every rule of axe that is about accessibility, on what the tab shows now. */
export async function expectAccessible(tab: Tab): Promise<void> {
  await tab.evaluate(axe.source)
  const found = await tab.evaluate<{ id: string; targets: string[] }[]>(
    "axe.run().then(({ violations }) => violations.map(({ id, nodes }) => " +
      "({ id, targets: nodes.map(({ target, failureSummary }) => target + ': ' + failureSummary) })))",
  )
  expect(found).toEqual([])
}

/** A picture into the folder that `SHOTS` names; none where it names none. */
export async function shoot(tab: Tab, name: string): Promise<void> {
  const folder = process.env.SHOTS
  if (folder === undefined) return
  mkdirSync(folder, { recursive: true })
  await tab.screenshot({ path: join(folder, `${name}.png`) })
}
