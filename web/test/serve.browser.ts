// The page on `a3b serve` as a user starts it: the whole path from the composer to a model's weights and back.

import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { expect, onTestFinished, test } from "vitest"
import { scriptedCheckpoint } from "../../test/scripted-checkpoint.ts"
import { openBrowser, openTab } from "./site.ts"

const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url))

/** The address that the command prints. */
async function started(model: string): Promise<string> {
  const child = spawn(process.execPath, [main, "serve", model, "--port", "0"], {
    env: { ...process.env, A3B_HOME: join(model, "home") },
    stdio: ["ignore", "pipe", "inherit"],
  })
  onTestFinished(() => void child.kill())
  let said = ""
  for await (const text of child.stdout.setEncoding("utf8")) {
    const address = /^chat page at (\S+)$/m.exec((said += String(text)))?.[1]
    if (address !== undefined) return address
  }
  throw new Error(`no address in: ${said}`)
}

test("a real engine answers on the page and tells what it did", async () => {
  const folder = mkdtempSync(join(tmpdir(), "a3b-page-"))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const script = [
    "\n",
    "<think>",
    "35 heads, ",
    "94 legs",
    "</think>",
    "\n\n",
    "23 chickens",
    ".",
    "<|im_end|>",
  ]
  const url = await started(scriptedCheckpoint(folder, { family: "hybrid", says: [script] }))
  const browser = await openBrowser()
  onTestFinished(() => browser.close())
  const { tab, wrong } = await openTab(browser, url)
  await tab.getByLabel("Message").fill("How many chickens are there?")
  await tab.keyboard.press("Enter")
  await tab.getByText("23 chickens.").waitFor()
  expect(await tab.getByRole("button", { name: /^Thought/ }).textContent()).toMatch(/\d tokens/)
  await tab.keyboard.press("Alt+e")
  await tab.getByText("The 4 experts of each layer").waitFor()
  const report = JSON.parse(await tab.evaluate<string>("fetch('api/engine').then((answer) => answer.text())"))
  const { tokens, experts, load } = report.engine
  expect(load).toMatchObject({ running: 0, waiting: 0 })
  // The first of the script ends the prompt.
  expect(tokens.generated).toBe(script.length - 1)
  // Each token that went through, but for the last one drawn, chose two of the four experts of the one layer.
  const visits = (experts as number[][])[0].reduce((sum, count) => sum + count, 0)
  expect(visits).toBe(2 * (tokens.prefilled + tokens.generated - 1))
  expect(wrong).toEqual([])
})
