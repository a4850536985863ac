import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, onTestFinished, test } from "vitest"
import { FakeModel } from "../../test/fake-model.ts"
import { answerOf, serving } from "../../test/serving.ts"
import { hashKey } from "./access.ts"
import { Account } from "./account.ts"
import { Page } from "./page.ts"

function built(): string {
  const folder = mkdtempSync(join(tmpdir(), "a3b-page-"))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  mkdirSync(join(folder, "web/assets"), { recursive: true })
  writeFileSync(join(folder, "web/index.html"), "<!doctype html>")
  writeFileSync(join(folder, "web/assets/index-1a2b.js"), "run()")
  writeFileSync(join(folder, "web/assets/font-3c4d.woff2"), "font")
  writeFileSync(join(folder, "secret.txt"), "secret")
  return join(folder, "web")
}

function paged(options: Parameters<typeof serving>[1] = {}) {
  const app = serving(new FakeModel(), { page: Page.read(built()), ...options })
  return (path: string, headers: Record<string, string> = {}, method = "GET") =>
    Promise.resolve(app.request(`http://localhost${path}`, { headers, method }))
}

test("the page is sent with its type and a policy that lets nothing else in", async () => {
  const response = await paged()("/")
  expect([response.status, await response.text()]).toEqual([200, "<!doctype html>"])
  expect(Object.fromEntries(response.headers)).toMatchObject({
    "content-type": "text/html; charset=utf-8",
    "content-length": "15",
    "cache-control": "no-cache",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-request-id": expect.stringMatching(/^req_/),
  })
  const policy = response.headers.get("content-security-policy") ?? ""
  expect(policy).toContain("default-src 'none'")
  expect(policy).toContain("script-src 'self'")
  expect(policy).not.toMatch(/unsafe|https?:|\*/)
})

test("what has a hash in its name is kept by the browser, the rest is asked for again", async () => {
  const ask = paged()
  const script = await ask("/assets/index-1a2b.js")
  expect(script.headers.get("cache-control")).toBe("public, max-age=31536000, immutable")
  expect(script.headers.get("content-type")).toBe("text/javascript; charset=utf-8")
  expect((await ask("/assets/font-3c4d.woff2")).headers.get("content-type")).toBe("font/woff2")
  const etag = (await ask("/")).headers.get("etag") ?? ""
  const again = await ask("/", { "if-none-match": etag })
  expect([again.status, await again.text()]).toEqual([304, ""])
})

test("only a head is sent where only that is asked for", async () => {
  const response = await paged()("/index.html", {}, "HEAD")
  expect([response.status, await response.text()]).toEqual([200, ""])
})

test.each([
  "/secret.txt",
  "/../secret.txt",
  "/%2e%2e/secret.txt",
  "/assets/..%2f..%2fsecret.txt",
  "/assets",
  "/nothing",
])("%s is not found", async (path) => {
  const response = await paged()(path)
  expect(response.status).toBe(404)
  expect((await answerOf(response)).error.message).toBe("nothing is served at this path and method")
})

test("a browser without a key gets the page and nothing else", async () => {
  const ask = paged({ accounts: new Map([[hashKey("key"), new Account({ name: "someone" })]]) })
  expect((await ask("/")).status).toBe(200)
  expect((await ask("/api/engine")).status).toBe(401)
  expect((await ask("/nothing")).status).toBe(401)
  expect((await ask("/api/engine", { authorization: "Bearer key" })).status).toBe(200)
})

test("without keys a page that goes by another name is refused here too", async () => {
  expect((await paged()("/", { host: "evil.example" })).status).toBe(403)
})

test("without a page its paths are as any others", async () => {
  const folder = mkdtempSync(join(tmpdir(), "a3b-page-"))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  expect(Page.read(folder)).toBeUndefined()
  expect((await paged({ page: undefined })("/")).status).toBe(404)
})
