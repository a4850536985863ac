// Step 2. The Jinja library's interpreter, with its differences from Jinja2 mended at the one place where it
// evaluates a node: printing, loops, attributes, operators, filters and tests. All else is the library's own.

import { filters } from "./filters.ts"
import { Interpreter } from "./library.ts"
import type { Environment, Node, Value } from "./library.ts"
import { attributeOf } from "./methods.ts"
import { isEqual, isMember, testNamed } from "./predicates.ts"
import { prepare } from "./program.ts"
import type { Roles } from "./program.ts"
import { pythonStr } from "./python.ts"
import { ArrayValue, BooleanValue, IntegerValue, NullValue, StringValue, UndefinedValue } from "./values.ts"

export class JinjaInterpreter extends Interpreter {
  readonly #program: Node
  readonly #roles: Roles

  /** `program` comes fresh from the library's parser and is prepared in place. */
  constructor(program: Node) {
    super()
    this.#program = program
    this.#roles = prepare(program)
  }

  render(globals: Environment): string {
    return pythonStr(this.evaluate(this.#program, globals))
  }

  override evaluate(node: Node | undefined, scope: Environment): Value {
    if (!node) return super.evaluate(node, scope)
    const value = this.#evaluate(node, scope)
    const role = this.#roles.get(node)
    if (role === "output") return new StringValue(pythonStr(value))
    return role === "iterable" ? iterable(value) : value
  }

  #evaluate(node: Node, scope: Environment): Value {
    switch (node.type) {
      case "Held":
        return node.held
      case "FreshScope":
        for (const name of scope.variables.keys()) if (!node.keep.has(name)) scope.variables.delete(name)
        return new NullValue(null)
      case "MemberExpression":
        return this.#member(node, scope)
      case "BinaryExpression":
        return this.#operation(node, scope)
      case "FilterExpression":
        return this.#filter(node, scope)
      case "TestExpression": {
        const test = testNamed(node.test.value, scope)
        return new BooleanValue(test(this.evaluate(node.operand, scope)) !== node.negate)
      }
      default:
        return super.evaluate(node, scope)
    }
  }

  #member(node: Node, scope: Environment): Value {
    const object = this.evaluate(node.object, scope)
    const name = node.property.value
    if (object instanceof UndefinedValue) throw new Error(`"${String(name)}" is read from an undefined value`)
    const attribute = node.computed ? undefined : attributeOf(object, String(name))
    return attribute ?? super.evaluate({ ...node, object: held(object) }, scope)
  }

  #operation(node: Node, scope: Environment): Value {
    const operator = node.operator.value
    if (operator === "and" || operator === "or") return super.evaluate(node, scope)
    const left = this.evaluate(node.left, scope)
    const right = this.evaluate(node.right, scope)
    if (operator === "==") return new BooleanValue(isEqual(left, right))
    if (operator === "!=") return new BooleanValue(!isEqual(left, right))
    if (operator === "in") return new BooleanValue(isMember(left, right))
    if (operator === "not in") return new BooleanValue(!isMember(left, right))
    if (operator === "~") return new StringValue(pythonStr(left) + pythonStr(right))
    if (operator === "*" && left instanceof StringValue && right instanceof IntegerValue)
      return new StringValue(left.value.repeat(Math.max(0, right.value)))
    if (operator === "+" && left instanceof StringValue !== right instanceof StringValue)
      throw new Error(`a ${left.type} and a ${right.type} cannot be joined with +`)
    return super.evaluate({ ...node, left: held(left), right: held(right) }, scope)
  }

  #filter(node: Node, scope: Environment): Value {
    const isCall = node.filter.type === "CallExpression"
    const filter = filters.get(String((isCall ? node.filter.callee : node.filter).value))
    if (!filter) return super.evaluate(node, scope)
    const args: Value[] = []
    const named = new Map<string, Value>()
    for (const argument of isCall ? node.filter.args : [])
      if (argument.type === "KeywordArgumentExpression")
        named.set(String(argument.key.value), this.evaluate(argument.value as Node, scope))
      else args.push(this.evaluate(argument, scope))
    return filter(this.evaluate(node.operand, scope), args, named, scope)
  }
}

/** A node for a value that is already there, so that the library goes on without evaluating it again. */
function held(value: Value): Node {
  return { type: "Held", held: value } as Node
}

/** Jinja2 loops over nothing where the value is undefined, and over the characters of a string. */
function iterable(value: Value): Value {
  if (value instanceof UndefinedValue) return new ArrayValue([])
  if (!(value instanceof StringValue)) return value
  return new ArrayValue(Array.from(value.value, (character) => new StringValue(character)))
}
