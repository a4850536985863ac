// Step 6. Fifty questions of the world's kinds, written by hand and apart from its generators: how far a model gets with
// wording that nobody generated. Their numbers may be anyone's.

import { boxed } from "./world/checks.ts"
import type { Language, Problem } from "./world/problem.ts"
import { problemOf } from "./world/script.ts"

type Question = readonly [task: string, language: Language, text: string, answer: string]

const questions: readonly Question[] = [
  ["heads-and-legs", "en", "A farm has chickens and sheep, 35 heads and 94 legs. How many chickens?", "23"],
  [
    "heads-and-legs",
    "en",
    "Looking over the fence I count 20 heads; under it, 56 legs. The yard holds only ducks and goats. How many goats are there?",
    "8",
  ],
  [
    "heads-and-legs",
    "en",
    "Rabbits and hens share a barn. Together they have 12 heads and 34 legs. How many hens live there?",
    "7",
  ],
  [
    "heads-and-legs",
    "en",
    "In the shed stand bikes and cars, 15 vehicles with 44 wheels in all. How many cars?",
    "7",
  ],
  [
    "heads-and-legs",
    "en",
    "A parking lot has 18 vehicles, all of them cars or motorcycles, and 58 wheels touch the ground. How many motorcycles are parked?",
    "7",
  ],
  [
    "heads-and-legs",
    "en",
    "My pocket holds 14 coins, some worth 2 and the others worth 5, 43 altogether. How many fives do I have?",
    "5",
  ],
  ["heads-and-legs", "zh", "鸡和兔关在一个笼子里,数一数有10个头,28条腿。鸡有几只?", "6"],
  ["heads-and-legs", "zh", "院子里有鸭和羊共16只,一共有46条腿,羊有多少只?", "7"],
  ["heads-and-legs", "zh", "停车场里自行车和汽车一共13辆,数一数有38个轮子。汽车有几辆?", "6"],
  ["heads-and-legs", "zh", "小红有2元和5元的钱共11张,总共37元。5元的有几张?", "5"],
  [
    "ages",
    "en",
    "Mia is 9 years old and her father is 35. In how many years will he be exactly twice as old as she is then?",
    "17",
  ],
  ["ages", "en", "Tom is 4 years older than Ann. Their ages add up to 26. How old is Tom?", "15"],
  ["ages", "en", "Grandma is three times as old as Leo, and Leo is 21. How old is Grandma?", "63"],
  ["ages", "en", "Five years ago Nina was 12. How old will she be six years from now?", "23"],
  ["ages", "zh", "小明今年8岁,妈妈比他大26岁。妈妈今年多少岁?", "34"],
  ["ages", "zh", "哥哥比弟弟大3岁,两人的年龄加起来是25岁,弟弟几岁?", "11"],
  ["ages", "zh", "爷爷的年龄是小刚的6倍,小刚今年11岁。爷爷多少岁?", "66"],
  ["sum-and-difference", "en", "Two numbers add up to 50 and differ by 8. What is the larger one?", "29"],
  [
    "sum-and-difference",
    "en",
    "The sum of two numbers is 73; one is 19 more than the other. Find the smaller one.",
    "27",
  ],
  [
    "sum-and-difference",
    "en",
    "Together the two ropes measure 64 metres, and the long one is 10 metres longer. How long is the short one?",
    "27",
  ],
  [
    "sum-and-difference",
    "en",
    "Two shelves hold 90 books. The upper one has 14 fewer than the lower. How many are on the lower shelf?",
    "52",
  ],
  ["sum-and-difference", "zh", "两个数的和是60,差是12,较大的数是多少?", "36"],
  ["sum-and-difference", "zh", "甲乙两班共有85人,甲班比乙班多5人。乙班有多少人?", "40"],
  ["sum-and-difference", "zh", "两根绳子一共长48米,长的比短的多6米,短的有多长?", "21"],
  [
    "prices",
    "en",
    "A pen costs 3 and a notebook costs 7. What do 4 pens and 5 notebooks cost together?",
    "47",
  ],
  ["prices", "en", "I pay with 100 for 6 tickets at 13 each. How much change do I get?", "22"],
  ["prices", "en", "Eight apples cost 24. What would eleven of them cost?", "33"],
  ["prices", "en", "Sara buys 5 cups at 9 each and a plate at 17. How much is that altogether?", "62"],
  ["prices", "zh", "一支铅笔2元,一本书15元。买6支铅笔和3本书一共要多少元?", "57"],
  ["prices", "zh", "小丽带了50元,买了4个面包,每个8元,还剩多少元?", "18"],
  ["prices", "zh", "5千克苹果要35元,买9千克要多少元?", "63"],
  ["sharing", "en", "Seven children share 91 marbles equally. How many does each of them get?", "13"],
  [
    "sharing",
    "en",
    "There are 50 sweets for 8 children, who all get the same number, as many as possible. How many sweets are left over?",
    "2",
  ],
  ["sharing", "en", "A baker puts 96 rolls into bags of 6. How many bags does he fill?", "16"],
  ["sharing", "en", "We divide 75 cards among 9 players evenly. How many cards remain on the table?", "3"],
  ["sharing", "zh", "把84颗糖平均分给6个小朋友,每人分到几颗?", "14"],
  ["sharing", "zh", "有65个苹果,每8个装一箱,最后还剩几个?", "1"],
  ["speed", "en", "A train runs at 80 km an hour. How many kilometres does it cover in 4 hours?", "320"],
  [
    "speed",
    "en",
    "A cyclist rode 45 km in 3 hours, always at the same pace. What was her speed in km per hour?",
    "15",
  ],
  ["speed", "en", "How many hours does a bus at 60 km per hour need for 240 km?", "4"],
  ["speed", "zh", "一辆汽车每小时行70千米,3小时行多少千米?", "210"],
  ["speed", "zh", "小船5小时行了65千米,平均每小时行多少千米?", "13"],
  [
    "two-unknowns",
    "en",
    "Two teas and three cakes cost 23; one tea and one cake cost 9. What does a cake cost?",
    "5",
  ],
  [
    "two-unknowns",
    "en",
    "Adults pay 8 and children pay 5. Twelve people paid 75 in all. How many children were there?",
    "7",
  ],
  ["two-unknowns", "en", "If x + y = 17 and 2x + y = 26, what is y?", "8"],
  ["two-unknowns", "zh", "3支钢笔和2个本子共31元,1支钢笔和1个本子共12元。钢笔每支多少元?", "7"],
  ["two-unknowns", "zh", "已知 x + y = 20,x - y = 6,求 x。", "13"],
  ["arithmetic", "en", "What is 47 + 86 - 29?", "104"],
  ["arithmetic", "en", "Work out 12 times 9, then take away 35.", "73"],
  ["arithmetic", "zh", "计算:36 × 7 + 48 = ?", "300"],
]

export function handWritten(): Problem[] {
  return questions.map(([task, language, content, answer]) =>
    problemOf({
      task,
      language,
      content: [`hand-written:${content}`],
      messages: [{ role: "user", content }],
      stages: [{ kind: "say", thought: "", text: `\\boxed{${answer}}`, check: boxed(answer) }],
    }),
  )
}
