import { expect, test } from "vitest"
import { heatMap, lineDrawing } from "./charts.ts"

/** The points of each line as they are drawn. */
const drawn = (svg: string) =>
  [...svg.matchAll(/points="([^"]*)"/g)].map(([, points]) =>
    points.split(" ").map((point) => point.split(",").map(Number)),
  )

const points = [
  [1, 1e-4],
  [2, 0],
  [3, 1e-2],
  [4, 1],
] as const

test("a line by tenfold steps has equal factors at equal distances, and leaves out what has no logarithm", () => {
  const [line] = drawn(lineDrawing([{ name: "a", points }], { x: "x", y: "y", scale: "log" }))
  expect(line).toHaveLength(3)
  const [first, second, third] = line.map(([, y]) => y)
  expect(first - second).toBeCloseTo(second - third, 0)
  expect(first).toBeGreaterThan(third)
})

test("a linear line starts at zero", () => {
  const [line] = drawn(lineDrawing([{ name: "a", points }], { x: "x", y: "y" }))
  const [, zero, , one] = line.map(([, y]) => y)
  expect(line[2][1]).toBeCloseTo(zero + 0.01 * (one - zero), 0)
})

test("many narrow cells are as tall as their row's name needs", () => {
  const cells = Array.from({ length: 64 }, () => 1)
  const rows = ["4096", "32768"].map((name) => ({ name, cells }))
  const svg = heatMap({ rows, title: () => "", most: 1 })
  expect([...svg.matchAll(/<text x="\d+" y="(\d+)"/g)].map(([, y]) => Number(y))).toEqual([8, 24])
})
