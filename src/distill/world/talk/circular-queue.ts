// Step 6. A circular queue in Python, from its one template: one place stays free, so full and empty differ.

import { all, matches } from "../checks.ts"
import { phrase } from "../phrase.ts"
import type { Language, Problem, Split } from "../problem.ts"
import type { Random } from "../random.ts"
import { problemOf } from "../script.ts"
import type { Check } from "../script.ts"
import { drawIn } from "../split.ts"

interface Names {
  readonly type: string
  readonly put: string
  readonly take: string
}

const types = ["CircularQueue", "RingBuffer", "Ring", "RingQueue", "CircularBuffer", "Queue", "CyclicQueue"]
const puts = ["put", "push", "enqueue", "add", "append", "insert"]
const takes = ["get", "pop", "dequeue", "take", "remove", "shift"]

const requests = {
  en: "[Write a circular queue in Python|Implement a circular queue class in Python|Python code for a circular queue|Please program a ring buffer in Python][: class {type}, methods {put} and {take}.|, named {type}, with {put} and {take}.]",
  zh: "[用Python写一个循环队列|用Python实现循环队列类|请写Python循环队列],[类名{type},方法{put}和{take}|名为{type},带{put}和{take}方法]。",
}

export function queueProblem(random: Random, split: Split, language: Language): Problem {
  const draw = (r: Random): Names => ({ type: r.pick(types), put: r.pick(puts), take: r.pick(takes) })
  const chosen = drawIn(split, random, draw, contentOf)
  return problemOf({
    task: "dialogue",
    language,
    content: [contentOf(chosen)],
    messages: [{ role: "user", content: phrase(random, requests[language], { ...chosen }) }],
    stages: [
      {
        kind: "say",
        thought: {
          en: "Full: (tail+1)%size==head. Empty: head==tail.",
          zh: "满:(tail+1)%size==head。空:head==tail。",
        }[language],
        text: codeOf(chosen),
        check: hasStructure(chosen),
      },
    ],
  })
}

function codeOf({ type, put, take }: Names): string {
  return `\`\`\`python
class ${type}:
    def __init__(self, size):
        self.size = size + 1
        self.items = [None] * self.size
        self.head = 0
        self.tail = 0

    def ${put}(self, item):
        if (self.tail + 1) % self.size == self.head:
            raise IndexError("full")
        self.items[self.tail] = item
        self.tail = (self.tail + 1) % self.size

    def ${take}(self):
        if self.head == self.tail:
            raise IndexError("empty")
        item = self.items[self.head]
        self.head = (self.head + 1) % self.size
        return item
\`\`\``
}

/** The class, its methods, the two tests, and both ends that go round; each on a line of its own. */
function hasStructure({ type, put, take }: Names): Check {
  const line = (text: string) =>
    matches(new RegExp(`^ *${text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")}$`, "m"), `has no line "${text}"`)
  return all(
    matches(/^```python\n[^`]+\n```$/, "is not one block of Python"),
    line(`class ${type}:`),
    line(`def ${put}(self, item):`),
    line(`def ${take}(self):`),
    line("if (self.tail + 1) % self.size == self.head:"),
    line("if self.head == self.tail:"),
    line("self.items[self.tail] = item"),
    line("self.tail = (self.tail + 1) % self.size"),
    line("item = self.items[self.head]"),
    line("self.head = (self.head + 1) % self.size"),
    line("return item"),
  )
}

function contentOf({ type, put, take }: Names): string {
  return `queue:${type},${put},${take}`
}
