// Step 6. Distance, speed and time: two are known.

import { phrase } from "../phrase.ts"
import { divide, multiply } from "../steps.ts"
import { movers } from "../vocabulary.ts"
import type { WordKind } from "./word-problem.ts"

const wordings = {
  en: {
    distance:
      "[A {mover} [travels|moves|goes] at {speed} km per hour for {time} hours|A {mover} makes {speed} kilometres an hour and is on its way for {time} hours|At {speed} km/h a {mover} is under way for {time} hours]. [How far does it go|What distance does it cover|How many kilometres is that|How far is that]?",
    time: "[A {mover} [travels|moves|goes] at {speed} km per hour|A {mover} makes {speed} kilometres an hour|The speed of a {mover} is {speed} km/h]. [How long does it take for {distance} km|How many hours does it need for {distance} km|How many hours do {distance} kilometres take]?",
    speed:
      "[A {mover} [travels|goes|covers] {distance} km in {time} hours|It takes a {mover} {time} hours to go {distance} km|In {time} hours a {mover} covers {distance} kilometres]. [What is its speed|How fast is it|How many km per hour is that|What is its speed in km per hour]?",
  },
  zh: {
    distance:
      "{mover}[每小时行{speed}公里|的速度是每小时{speed}公里|以每小时{speed}公里的速度前进],[行了{time}小时|{time}小时|走了{time}小时],[一共行了多少公里|走了多远|能走多少公里]?",
    time: "{mover}[每小时行{speed}公里|的速度是每小时{speed}公里],[行{distance}公里要几小时|走{distance}公里需要多少小时|{distance}公里要走几个小时]?",
    speed:
      "{mover}{time}小时[行了|走了|前进]{distance}公里,[每小时行多少公里|速度是每小时多少公里|平均每小时走多少公里]?",
  },
}

/** numbers: kilometres per hour, hours. */
export const speed: WordKind = {
  task: "speed",
  draw: (random) => [
    random.chance(0.5) ? random.between(3, 99) : 10 * random.between(2, 30),
    random.between(2, 9),
  ],
  word: (random, language, [kmPerHour, hours]) => {
    // A quotient by two uneven digits cannot be written in small steps.
    const asked = random.pick(
      kmPerHour % 10 === 0 && kmPerHour < 100
        ? (["distance", "time", "speed"] as const)
        : (["distance", "speed"] as const),
    )
    const values = {
      mover: random.pick(movers[language]),
      speed: kmPerHour,
      time: hours,
      distance: kmPerHour * hours,
    }
    const step = {
      distance: () => multiply(kmPerHour, hours),
      time: () => divide(values.distance, kmPerHour),
      speed: () => divide(values.distance, hours),
    }[asked]
    const answer = values[asked]
    const unit = { distance: "km", time: "hours", speed: "km per hour" }[asked]
    const zhSays = { distance: `${answer}公里。`, time: `${answer}小时。`, speed: `每小时${answer}公里。` }[
      asked
    ]
    return {
      question: phrase(random, wordings[language][asked], values),
      steps: [step()],
      says: language === "en" ? `It is ${answer} ${unit}.` : zhSays,
      answer,
    }
  },
}
