// What the model says in the tests of the page, and how fast.

import { FakeModel, fakeUsage } from "../../test/fake-model.ts"
import type { EngineStatus } from "../../src/server/served-model.ts"
import type { ChatEvent, ChatRequest } from "../../src/types.ts"

const thought = `<think>
Primes below 100. Let me count them by tens: 2, 3, 5, 7 are four; 11, 13, 17, 19 are four more; 23, 29; 31, 37;
41, 43, 47; 53, 59; 61, 67; 71, 73, 79; 83, 89; 97.

That is $4 + 4 + 2 + 2 + 3 + 2 + 2 + 3 + 2 + 1 = 25$.
</think>

`

const answer = `There are **25** prime numbers below 100. The prime number theorem says that their count grows as

$$\\pi(x) \\sim \\frac{x}{\\ln x}, \\qquad \\frac{100}{\\ln 100} \\approx 21.7$$

which is already close. A sieve finds them:

\`\`\`python
def primes(limit: int) -> list[int]:
    """All primes below the limit, by the sieve of Eratosthenes."""
    is_prime = [True] * limit
    for n in range(2, int(limit**0.5) + 1):
        if is_prime[n]:
            is_prime[n * n :: n] = [False] * len(is_prime[n * n :: n])
    return [n for n in range(2, limit) if is_prime[n]]

print(len(primes(100)))  # 25
\`\`\`

| below | primes | \\(x / \\ln x\\) |
| ----: | -----: | ------: |
|    10 |      4 |     4.3 |
|   100 |     25 |    21.7 |
|  1000 |    168 |   144.8 |

- [x] counted by hand
- [ ] proved, see [the theorem](https://en.wikipedia.org/wiki/Prime_number_theorem)

<img src=x onerror="document.title='broken'"> ![a picture](https://example.com/pixel.png) costs $5 and $6.
`

const call = `<think>
The weather is asked for: I have a tool for that.
</think>

<tool_call>
{"name": "get_weather", "arguments": {"city": "Berlin"}}
</tool_call>`

/** In pieces about as long as tokens. */
function pieces(text: string): string[] {
  return text.match(/<\/?\w+>|\s*[^\s<]{1,5}|\s+|</g) ?? []
}

function says({ messages, thinking }: ChatRequest): string[] {
  const last = messages.at(-1)
  const asked = typeof last?.content === "string" ? last.content : ""
  if (last?.role === "tool") return pieces(`It is ${asked} in Berlin.`)
  if (asked.includes("weather")) return pieces(call)
  if (asked.includes("echo")) return pieces(`You said: ${asked}`)
  return pieces(thinking === "off" ? answer : thought + answer)
}

/** A fake model that speaks as fast as it is told to, and whose engine looks busy. */
export class TalkingModel extends FakeModel {
  /** Between pieces. */
  paceMs = 0
  #generated = 0
  /** [layers][experts], a few of them busier than the others. */
  readonly #experts = Array.from({ length: 48 }, () => Array.from({ length: 128 }, () => 0))

  constructor() {
    super({ says })
  }

  override get status(): EngineStatus {
    const kv = { tiers: { T0: 9, T1: 14, T2: 22, T3: 6 }, bytes: 287_000_000, savedBytes: 210_000_000 }
    return {
      kv,
      tokens: { prefilled: 5120, reused: 9300, generated: this.#generated },
      experts: this.#experts,
      attention: { scanned: 8800, fellBack: 120, kept: 8590, tokens: 21_000_000 },
    }
  }

  override get load() {
    return { running: this.numLive, waiting: 0, usedPages: this.numLive * 12, pages: 320 }
  }

  override async *chat(request: ChatRequest): AsyncGenerator<ChatEvent> {
    const usage = { ...fakeUsage, completionTokens: 0, reasoningTokens: 0 }
    for await (const event of super.chat(request)) {
      if (event.type === "usage") yield { type: "usage", usage }
      else {
        if (this.paceMs > 0) await new Promise((resolve) => setTimeout(resolve, this.paceMs))
        if (event.type === "reasoning") usage.reasoningTokens++
        usage.completionTokens++
        this.#generated++
        for (const [layer, counts] of this.#experts.entries())
          for (let i = 0; i < 8; i++) counts[(layer * 37 + this.#generated * 11 * i + i * i * 5) % 128]++
        yield event
      }
    }
  }
}
