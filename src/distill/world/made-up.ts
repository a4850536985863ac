// Step 6. Words, people and cities that no list has: who learns names by heart in place of copying them gets these wrong.

import { capitalised } from "./phrase.ts"
import type { Language } from "./problem.ts"
import type { Random } from "./random.ts"

const onsets = [..."bdfgklmnprstvz", "br", "ch", "cl", "dr", "fl", "gr", "pl", "sh", "st", "tr"]
const vowels = [..."aeiou"]
const codas = ["", "", "l", "m", "n", "r", "s", "x"]

const surnames = [..."王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧"]
const givenNames = [
  ..."伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰红梅鑫波斌宇浩凯健俊帆雪荣建文博思雨子涵晨欣怡嘉宁志远",
]
const cityBeginnings = [..."东南西北上下新长平安永大小金银青白黑红云石龙凤山河江海湖泉古高宝福德兴泰"]
const cityEnds = [..."州城山川江阳安海水河口门原林桥关岭港乡溪"]

export function madeUpWord(random: Random): string {
  const syllable = () => random.pick(onsets) + random.pick(vowels) + random.pick(codas)
  return syllable() + syllable()
}

export function madeUpPerson(random: Random, language: Language): string {
  if (language === "en") return capitalised(madeUpWord(random))
  const given = () => random.pick(givenNames)
  if (random.chance(0.3)) return `小${random.pick([...surnames, ...givenNames])}`
  return random.pick(surnames) + given() + (random.chance(0.5) ? given() : "")
}

export function madeUpCity(random: Random, language: Language): string {
  if (language === "en") return capitalised(madeUpWord(random))
  return random.pick(cityBeginnings) + random.pick(cityEnds)
}
