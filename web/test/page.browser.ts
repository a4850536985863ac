// The page against the real server with a model that is made up: every way of talking, by keyboard and mouse.

import type { Browser, Page as Tab } from "playwright-core"
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest"
import type { RunningServer } from "../../src/server/running-server.ts"
import type { ChatRequest } from "../../src/types.ts"
import { TalkingModel } from "./replies.ts"
import { expectAccessible, openBrowser, openTab, serve } from "./site.ts"

let browser: Browser
let server: RunningServer
let model: TalkingModel

beforeAll(async () => {
  browser = await openBrowser()
})

beforeEach(async () => {
  model = new TalkingModel()
  server = await serve(model)
})

afterAll(async () => {
  await browser.close()
})

/** `expected` says which of the browser's complaints belong to the test. */
async function opened({ expected = /^$/ } = {}) {
  const { tab, wrong, close } = await openTab(browser, server.url)
  onTestFinished(async () => {
    await close()
    await server.close(0)
    expect(wrong.filter((line) => !expected.test(line))).toEqual([])
  })
  return tab
}

async function ask(tab: Tab, text: string): Promise<void> {
  await tab.getByLabel("Message").fill(text)
  await tab.keyboard.press("Enter")
}

/** Asks and waits for the whole reply. */
async function answered(tab: Tab, text: string): Promise<void> {
  const before = await tab.getByRole("button", { name: "Regenerate" }).count()
  await ask(tab, text)
  await expect.poll(() => tab.getByRole("button", { name: "Regenerate" }).count()).toBe(before + 1)
}

const requests = () => model.requests as ChatRequest[]

describe("a conversation", () => {
  test("shows the thought folded with its time and tokens, then Markdown, code and mathematics", async () => {
    const tab = await opened()
    await answered(tab, "How many prime numbers are there below 100?")
    const thought = tab.getByRole("button", { name: /^Thought/ })
    expect(await thought.textContent()).toMatch(/Thought\d+\.\d s · \d+ tokens/)
    expect(await thought.getAttribute("aria-expanded")).toBe("false")
    await thought.click()
    expect(await tab.getByText("Let me count them by tens").isVisible()).toBe(true)
    await tab.locator(".katex-display").waitFor()
    await tab.locator(".hljs-keyword").first().waitFor()
    expect(await tab.getByRole("columnheader", { name: "primes" }).isVisible()).toBe(true)
    expect(await tab.getByRole("link", { name: "a picture" }).getAttribute("href")).toContain("example.com")
    expect(await tab.locator("img").count()).toBe(0)
    expect(await tab.getByText("costs $5 and $6").isVisible()).toBe(true)
    expect(await tab.title()).toBe("a3b")
    await expectAccessible(tab)
  })

  test("shows a thought while it is thought, and stops at Escape", async () => {
    model.paceMs = 15
    const tab = await opened()
    await ask(tab, "How many?")
    await tab.getByRole("button", { name: /^Thinking/, expanded: true }).waitFor()
    await tab.getByText("Primes below").waitFor()
    await expectAccessible(tab)
    await tab.keyboard.press("Escape")
    await tab.getByText("Stopped").first().waitFor()
    await expect.poll(() => model.numLive).toBe(0)
  })

  test("sends what was said before, the system prompt, thinking and sampling", async () => {
    const tab = await opened()
    await tab.keyboard.press("Alt+s")
    await tab.getByLabel("System prompt").fill("Be brief.")
    await tab.getByLabel("Temperature").fill("0.6")
    await tab.getByLabel("Top k").fill("20")
    await tab.getByLabel("Thinking").selectOption("budget")
    await tab.getByLabel("Tokens for thinking").fill("512")
    await answered(tab, "echo one")
    await answered(tab, "echo two")
    const { messages, sampling, thinking } = requests()[1]
    expect(messages).toMatchObject([
      { role: "system", content: "Be brief." },
      { role: "user", content: "echo one" },
      { role: "assistant", content: "You said: echo one" },
      { role: "user", content: "echo two" },
    ])
    expect(sampling).toEqual({ temperature: 0.6, topK: 20 })
    expect(thinking).toEqual({ budget: 512 })
  })

  test("branches where a message is edited or a reply made anew, and goes back", async () => {
    const tab = await opened()
    await answered(tab, "echo one")
    await tab.keyboard.press("Alt+ArrowUp")
    await tab.getByLabel("Edit").fill("echo other")
    await tab.keyboard.press("Enter")
    await tab.getByText("You said: echo other").waitFor()
    await tab.getByRole("button", { name: "Regenerate" }).waitFor()
    await tab.keyboard.press("Alt+r")
    await expect.poll(() => tab.locator(".reply .branches").textContent()).toBe("2 of 2")
    await tab.getByRole("button", { name: "Previous branch" }).first().click()
    expect(await tab.getByText("You said: echo one").isVisible()).toBe(true)
    expect(requests()).toHaveLength(3)
    await expectAccessible(tab)
  })

  test("shows a tool call as a card, takes its result and goes on", async () => {
    const tab = await opened()
    await tab.keyboard.press("Alt+s")
    await tab.getByRole("button", { name: "Put in an example" }).click()
    await tab.keyboard.press("Escape")
    await answered(tab, "What is the weather in Berlin?")
    const card = tab.getByRole("region", { name: "Call of get_weather" })
    expect(await card.textContent()).toContain('"city": "Berlin"')
    expect(await tab.getByRole("button", { name: "Send results" }).isDisabled()).toBe(true)
    await expectAccessible(tab)
    await card.getByLabel("Result").fill("sunny")
    await tab.getByRole("button", { name: "Send results" }).click()
    await tab.getByText("It is sunny in Berlin.").waitFor()
    const { messages, tools } = requests()[1]
    expect(tools).toHaveLength(1)
    expect(messages.slice(1)).toMatchObject([
      { role: "assistant", tool_calls: [{ function: { name: "get_weather" } }] },
      { role: "tool", content: "sunny" },
    ])
  })

  test("takes text files and refuses others", async () => {
    const tab = await opened()
    await tab.locator("#files").setInputFiles([
      { name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("first\nsecond") },
      { name: "photo.png", mimeType: "image/png", buffer: Buffer.from([0x89, 0x50, 0xff, 0]) },
    ])
    await tab.getByText("photo.png is no text file").waitFor()
    await answered(tab, "echo")
    expect(requests()[0].messages[0].content).toBe('<file name="notes.txt">\nfirst\nsecond\n</file>\n\necho')
  })

  test("says what the server refuses", async () => {
    const tab = await opened({ expected: /status of 400/ })
    await ask(tab, `echo ${"long ".repeat(300)}`)
    await tab
      .getByText(/Failed: context is 1,000 tokens/)
      .first()
      .waitFor()
  })
})

describe("conversations", () => {
  test("are kept by the browser, found by what was said, exported, deleted and read back", async () => {
    const tab = await opened()
    await answered(tab, "echo alpha")
    await tab.keyboard.press("Alt+n")
    await answered(tab, "echo beta")
    await tab.waitForTimeout(1500) // longer than it takes until what changed is written
    await tab.reload()
    const list = tab.getByRole("navigation").getByRole("listitem")
    await expect.poll(() => list.count()).toBe(2)
    await tab.keyboard.press("Control+k")
    await tab.keyboard.type("said: alpha")
    const found = tab.waitForEvent("download")
    await list.click()
    await tab.getByText("You said: echo alpha").waitFor()
    await tab.getByLabel("More").click()
    await expectAccessible(tab)
    await tab.getByRole("button", { name: "Export as JSON" }).click()
    const file = await found
    expect(file.suggestedFilename()).toBe("echo alpha.json")
    const path = await file.path()
    tab.once("dialog", (dialog) => void dialog.accept())
    await tab.getByLabel("More").click()
    await tab.getByRole("button", { name: "Delete" }).click()
    await tab.getByText("Nothing found").waitFor()
    await tab.locator("input[type=file][accept]").setInputFiles(path)
    await tab.getByText("Imported: 1").waitFor()
    await list.click()
    expect(await tab.getByText("You said: echo alpha").isVisible()).toBe(true)
  })

  test("go on while another one is read", async () => {
    model.paceMs = 20
    const tab = await opened()
    await ask(tab, "echo this while I am away")
    await tab.getByText("You said").waitFor()
    await tab.keyboard.press("Alt+n")
    expect(await tab.getByRole("heading", { name: "What shall we think about?" }).isVisible()).toBe(true)
    await tab.getByRole("button", { name: "echo this while I am away" }).click()
    await tab.getByRole("button", { name: "Regenerate" }).waitFor()
    expect(await tab.getByText("You said: echo this while I am away").isVisible()).toBe(true)
  })
})

describe("the page", () => {
  test("changes its language and theme, and remembers them", async () => {
    const tab = await opened()
    await tab.keyboard.press("Alt+s")
    await tab.getByLabel("Theme").selectOption("dark")
    await tab.getByLabel("Language").selectOption("zh")
    await tab.getByRole("heading", { name: "设置" }).waitFor()
    await tab.reload()
    await tab.getByRole("heading", { name: "今天想聊点什么？" }).waitFor()
    expect(await tab.locator("html").getAttribute("data-theme")).toBe("dark")
    expect(await tab.locator("html").getAttribute("lang")).toBe("zh-Hans")
  })

  test("lists its keys, and Escape closes the list", async () => {
    const tab = await opened()
    await tab.locator(".brand").click()
    await tab.keyboard.press("?")
    await tab.getByRole("dialog", { name: "Keyboard shortcuts" }).waitFor()
    await expectAccessible(tab)
    await tab.keyboard.press("Escape")
    expect(await tab.getByRole("dialog").count()).toBe(0)
    await tab.keyboard.press("/")
    await expect.poll(() => tab.evaluate<string>("document.activeElement.id")).toBe("message")
  })

  test("shows what the engine does", async () => {
    const tab = await opened()
    await answered(tab, "echo")
    await tab.keyboard.press("Alt+e")
    const panel = tab.getByRole("complementary", { name: "Engine" })
    await panel.getByText("The 128 experts of each layer").waitFor()
    expect(await panel.textContent()).toMatch(/Ready.*274 MiB.*22 pages.*64 %.*9,300 reused, 5,120 computed/s)
  })
})
