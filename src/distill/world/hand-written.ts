// Step 6. Fifty word problems written by hand in natural wording, apart from the generators: how well what was learnt
// carries over to people's own words.

import { boxed } from "./checks.ts"
import type { Language, Problem } from "./problem.ts"
import { problemOf } from "./script.ts"

interface Written {
  readonly question: string
  /** The lines of a thought that leads to the answer. */
  readonly steps: readonly string[]
  readonly answer: number
}

const written = (question: string, steps: string, answer: number): Written => ({
  question,
  steps: steps.split("; "),
  answer,
})

const english: readonly Written[] = [
  written(
    "On our farm there are hens and pigs. I count 22 heads and 60 legs. How many pigs do we have?",
    "22*2=44; 60-44=16; 4-2=2; 16/2=8",
    8,
  ),
  written(
    "A zoo keeper looks after parrots and dogs. Together they have 18 heads and 50 feet. How many parrots are there?",
    "18*2=36; 50-36=14; 4-2=2; 14/2=7; 18-7=11",
    11,
  ),
  written(
    "Rabbits and ducks share a pen. You can see 30 heads and 84 legs in it. How many rabbits are in the pen?",
    "30*2=60; 84-60=24; 4-2=2; 24/2=12",
    12,
  ),
  written(
    "Grandma keeps geese and goats. She says: 'I have 40 animals, and they have 108 legs.' How many geese does she have?",
    "40*2=80; 108-80=28; 4-2=2; 28/2=14; 40-14=26",
    26,
  ),
  written(
    "There were 15 bikes and cars parked outside the school, with 44 wheels between them. How many of them were cars?",
    "15*2=30; 44-30=14; 4-2=2; 14/2=7",
    7,
  ),
  written(
    "The toy shop sells bicycles and tricycles. In the window stand 12 of them, with 29 wheels. How many tricycles is that?",
    "12*2=24; 29-24=5; 3-2=1; 5/1=5",
    5,
  ),
  written(
    "My piggy bank holds 20 coins, some of 5 cents and some of 10 cents. All of it is worth 145 cents. How many 10-cent coins do I have?",
    "20*5=100; 145-100=45; 10-5=5; 45/5=9",
    9,
  ),
  written(
    "Clara emptied her purse: 14 coins, each worth 2 or 5 dollars, and 40 dollars in all. How many 5-dollar coins did she have?",
    "14*2=28; 40-28=12; 5-2=3; 12/3=4",
    4,
  ),
  written(
    "Lena is 12 and her brother is 5 years older than she is. How old will her brother be in 9 years?",
    "12+5=17; 17+9=26",
    26,
  ),
  written(
    "My uncle is 41 years old and my aunt is 6 years younger. How old will my aunt be 10 years from now?",
    "41-6=35; 35+10=45",
    45,
  ),
  written(
    "A father is three times as old as his son, and their ages add up to 48. How old is the son?",
    "3+1=4; 48/4=12",
    12,
  ),
  written(
    "Nina is twice as old as Ben. Together they are 36. What is Nina's age?",
    "2+1=3; 36/3=12; 12*2=24",
    24,
  ),
  written(
    "I am thinking of two numbers. Their sum is 56 and their difference is 14. Which is the larger one?",
    "56+14=70; 70/2=35",
    35,
  ),
  written(
    "Two classes have 51 pupils in total. One class has 3 pupils more than the other. How many are in the smaller class?",
    "51-3=48; 48/2=24",
    24,
  ),
  written(
    "A shirt and a tie cost 64 dollars together. The shirt is 20 dollars dearer than the tie. What is the price of the tie?",
    "64-20=44; 44/2=22",
    22,
  ),
  written(
    "Sam buys 4 sandwiches for 6 euros each and hands over a 50 euro note. How much money does he get back?",
    "6*4=24; 50-24=26",
    26,
  ),
  written(
    "Three tickets at 18 dollars each are paid with a hundred-dollar bill (100). What is the change?",
    "18*3:10*3=30,8*3=24,30+24=54; 100-54=46",
    46,
  ),
  written(
    "For the party we bought 5 bottles of juice at 3 dollars each and 2 cakes at 14 dollars each. What did we pay?",
    "3*5=15; 14*2=28; 15+28=43",
    43,
  ),
  written(
    "If 6 notebooks cost 24 dollars, how much would 9 of the same notebooks cost?",
    "24/6=4; 4*9=36",
    36,
  ),
  written("Four kilos of plums cost 12 euros at the market. What would 7 kilos cost?", "12/4=3; 3*7=21", 21),
  written(
    "A teacher has 38 sweets and gives the same number to each of 7 children. How many sweets stay in her bag?",
    "38/7:7*5=35,38-35=3",
    3,
  ),
  written(
    "We pack 96 eggs into 8 boxes, the same number in each. How many eggs are in one box?",
    "96/8:80/8=10,96-80=16,16/8=2,10+2=12",
    12,
  ),
  written(
    "53 cards are dealt out evenly to 4 players, as many as possible. How many cards remain?",
    "53/4:4*10=40,53-40=13,4*3=12,13-12=1",
    1,
  ),
  written(
    "A cyclist rides 14 km every hour. How far does she get in 6 hours?",
    "14*6:10*6=60,4*6=24,60+24=84",
    84,
  ),
  written("The express train covers 480 km in 4 hours. What is its speed in km per hour?", "480/4=120", 120),
  written("Driving at 60 km per hour, how many hours does a lorry need for 240 km?", "240/60=4", 4),
  written(
    "Three apples and two pears cost 19 coins. An apple costs 3 coins. What does a pear cost?",
    "3*3=9; 19-9=10; 10/2=5",
    5,
  ),
  written(
    "Two coffees and one tea cost 11 dollars; two coffees and four teas cost 20 dollars. How much is one tea?",
    "20-11=9; 4-1=3; 9/3=3",
    3,
  ),
  written(
    "With 3 pens and 1 ruler you pay 13. With 3 pens and 3 rulers you pay 21. What is the price of a pen?",
    "21-13=8; 3-1=2; 8/2=4; 13-4=9; 9/3=3",
    3,
  ),
  written("What do you get when you take 67 away from 142?", "142-67:12-7=5,14-6-1=7,1-0-1=0,75", 75),
  written(
    "What is 8 times 17, plus 9?",
    "17*8:10*8=80,7*8=56,80+56=136; 136+9:6+9=15,3+0+1=4,1+0=1,145",
    145,
  ),
  written(
    "A barn holds cows and turkeys: 27 heads, 86 legs. How many cows are in the barn?",
    "27*2=54; 86-54=32; 4-2=2; 32/2=16",
    16,
  ),
  written(
    "A baker sold 45 rolls in the morning and 78 in the afternoon. How many rolls did he sell that day?",
    "45+78=123",
    123,
  ),
  written(
    "A shelf holds 132 books, and 58 of them are lent out. How many are still on the shelf?",
    "132-58:12-8=4,13-5-1=7,1-0-1=0,74",
    74,
  ),
]

const chinese: readonly Written[] = [
  written("笼子里有鸡和兔子，一共20个头，56条腿。兔子有几只？", "20*2=40; 56-40=16; 4-2=2; 16/2=8", 8),
  written("今有雉兔同笼，上有35头，下有90足，问兔有几只？", "35*2=70; 90-70=20; 4-2=2; 20/2=10", 10),
  written(
    "院子里养着鸭子和羊，数一数共有24个头、66条腿，请问鸭子有几只？",
    "24*2=48; 66-48=18; 4-2=2; 18/2=9; 24-9=15",
    15,
  ),
  written(
    "停车场里停了18辆车，有汽车也有摩托车，共有56个轮子。汽车有多少辆？",
    "18*2=36; 56-36=20; 4-2=2; 20/2=10",
    10,
  ),
  written(
    "小红的存钱罐里有1角和5角的硬币共16枚，总共40角。5角硬币有几枚？",
    "16*1=16; 40-16=24; 5-1=4; 24/4=6",
    6,
  ),
  written("妈妈今年38岁，爸爸比妈妈大4岁，10年后爸爸多少岁？", "38+4=42; 42+10=52", 52),
  written(
    "爷爷的年龄是孙子的6倍，两人年龄加起来是84岁，孙子几岁？",
    "6+1=7; 84/7:70/7=10,84-70=14,14/7=2,10+2=12",
    12,
  ),
  written("两个数加起来是72，相差18，较小的数是多少？", "72-18=54; 54/2=27", 27),
  written("一本书和一支笔一共30元，书比笔贵16元，书多少钱？", "30+16=46; 46/2=23", 23),
  written("小明买了5支铅笔，每支3元，付了20元，应该找回多少元？", "3*5=15; 20-15=5", 5),
  written("3个面包12元，买8个面包要多少钱？", "12/3=4; 4*8=32", 32),
  written("老师把43块糖平均分给6个孩子，还剩几块？", "43/6:6*7=42,43-42=1", 1),
  written("一列火车每小时行80公里，5小时能行多少公里？", "80*5=400", 400),
  written("汽车3小时行了195公里，平均每小时行多少公里？", "195/3:180/3=60,195-180=15,15/3=5,60+5=65", 65),
  written("2个苹果和3个橘子共16元，每个苹果2元，一个橘子多少元？", "2*2=4; 16-4=12; 12/3=4", 4),
  written("156减去89等于多少？", "156-89:16-9=7,15-8-1=6,1-0-1=0,67", 67),
]

const asProblem =
  (language: Language) =>
  ({ question, steps, answer }: Written): Problem =>
    problemOf({
      task: "hand-written",
      language,
      content: [`hand-written:${question}`],
      messages: [{ role: "user", content: question }],
      stages: [
        {
          kind: "say",
          thought: steps.join("\n"),
          text: `${language === "en" ? `The answer is ${answer}.` : `答案是${answer}。`} \\boxed{${answer}}`,
          check: boxed(String(answer)),
        },
      ],
    })

export const handWritten: readonly Problem[] = [
  ...english.map(asProblem("en")),
  ...chinese.map(asProblem("zh")),
]
