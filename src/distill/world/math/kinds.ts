// Step 6. The kinds of word problem, each with its share among them.

import { ageLater, ageTimes } from "./ages.ts"
import { arithmetic, twoOperations } from "./arithmetic.ts"
import { coins, headsAndLegs, wheels } from "./heads-and-legs.ts"
import { change, totalCost, unitPrice } from "./prices.ts"
import { sharing } from "./sharing.ts"
import { speed } from "./speed.ts"
import { sumAndDifference } from "./sums.ts"
import { priceOfOther, twoBaskets } from "./two-unknowns.ts"
import type { WordKind } from "./word-problem.ts"

export const wordKinds: readonly { readonly kind: WordKind; readonly weight: number }[] = [
  { kind: headsAndLegs, weight: 12 },
  { kind: wheels, weight: 6 },
  { kind: coins, weight: 6 },
  { kind: ageLater, weight: 3 },
  { kind: ageTimes, weight: 3 },
  { kind: sumAndDifference, weight: 5 },
  { kind: change, weight: 4 },
  { kind: totalCost, weight: 4 },
  { kind: unitPrice, weight: 3 },
  { kind: sharing, weight: 4 },
  { kind: speed, weight: 4 },
  { kind: priceOfOther, weight: 4 },
  { kind: twoBaskets, weight: 4 },
  { kind: arithmetic, weight: 8 },
  { kind: twoOperations, weight: 3 },
]
