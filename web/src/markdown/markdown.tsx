// Tokens of Markdown as React elements. A block whose source is the same as before is not drawn again, so a long reply
// costs no more per token than its last paragraph.

import { Fragment, memo, useMemo } from "react"
import type { ReactNode } from "react"
import { CodeBlock } from "./code.tsx"
import { Formula } from "./formula.tsx"
import { isMath, isSafeLink, tokensOf } from "./tokens.ts"
import type { MathToken, Token, Tokens } from "./tokens.ts"

/** The tokens that a lexer without other extensions gives; marked's own union has one that matches everything. */
type Known =
  | MathToken
  | Tokens.Blockquote
  | Tokens.Br
  | Tokens.Checkbox
  | Tokens.Code
  | Tokens.Codespan
  | Tokens.Def
  | Tokens.Del
  | Tokens.Em
  | Tokens.Escape
  | Tokens.Heading
  | Tokens.Hr
  | Tokens.HTML
  | Tokens.Image
  | Tokens.Link
  | Tokens.List
  | Tokens.Paragraph
  | Tokens.Space
  | Tokens.Strong
  | Tokens.Table
  | Tokens.Text

export function Markdown({ text }: { text: string }) {
  const tokens = useMemo(() => tokensOf(text), [text])
  return (
    <div className="markdown" dir="auto">
      {tokens.map((token, i) => (
        <Block key={i} token={token} />
      ))}
    </div>
  )
}

const Block = memo(
  ({ token }: { token: Token }) => draw(token as Known),
  (before, after) => before.token.raw === after.token.raw && before.token.type === after.token.type,
)

function all(tokens: readonly Token[] | undefined): ReactNode {
  return tokens?.map((token, i) => <Fragment key={i}>{draw(token as Known)}</Fragment>)
}

function draw(token: Known): ReactNode {
  if (isMath(token)) return <Formula tex={token.tex} display={token.display} />
  switch (token.type) {
    case "paragraph":
      return <p>{all(token.tokens)}</p>
    case "heading":
      return <Heading depth={token.depth}>{all(token.tokens)}</Heading>
    case "list":
      return <List list={token} />
    case "blockquote":
      return <blockquote>{all(token.tokens)}</blockquote>
    case "code":
      return <CodeBlock code={token.text} language={token.lang?.split(/\s/)[0] ?? ""} />
    case "table":
      return <Table table={token} />
    case "hr":
      return <hr />
    case "space":
    case "def":
      return null
    default:
      return drawInline(token)
  }
}

type Inline = Exclude<
  Known,
  { type: "paragraph" | "heading" | "list" | "blockquote" | "code" | "table" } | MathToken
>

function drawInline(token: Inline): ReactNode {
  switch (token.type) {
    case "strong":
      return <strong>{all(token.tokens)}</strong>
    case "em":
      return <em>{all(token.tokens)}</em>
    case "del":
      return <del>{all(token.tokens)}</del>
    case "codespan":
      return <code>{token.text}</code>
    case "br":
      return <br />
    case "link":
      return <Link href={token.href}>{all(token.tokens)}</Link>
    // The page loads nothing from elsewhere: a picture is the way to it.
    case "image":
      return <Link href={token.href}>{token.text || token.href}</Link>
    case "checkbox":
      return token.checked ? "☑ " : "☐ "
    case "text":
      return "tokens" in token && token.tokens ? all(token.tokens) : token.text
    case "escape":
      return token.text
    case "html":
      return token.text
    case "space":
    case "def":
    case "hr":
      return null
    default:
      return token satisfies never
  }
}

/** Headings of a reply stand below the page's own. */
function Heading({ depth, children }: { depth: number; children: ReactNode }) {
  const Tag = (["h3", "h4", "h5", "h6"] as const)[Math.min(depth, 4) - 1]
  return <Tag>{children}</Tag>
}

function List({ list }: { list: Tokens.List }) {
  const items = list.items.map((item, i) => (
    <li key={i} className={item.task ? "task" : undefined}>
      {all(item.tokens)}
    </li>
  ))
  return list.ordered ? <ol start={list.start === "" ? 1 : list.start}>{items}</ol> : <ul>{items}</ul>
}

function Table({ table }: { table: Tokens.Table }) {
  const cells = (row: readonly Tokens.TableCell[], Cell: "th" | "td") =>
    row.map((cell, i) => (
      <Cell key={i} className={cell.align ? `align-${cell.align}` : undefined}>
        {all(cell.tokens)}
      </Cell>
    ))
  return (
    <div className="table" tabIndex={0} role="group">
      <table>
        <thead>
          <tr>{cells(table.header, "th")}</tr>
        </thead>
        <tbody>
          {table.rows.map((row, i) => (
            <tr key={i}>{cells(row, "td")}</tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

function Link({ href, children }: { href: string; children: ReactNode }) {
  if (!isSafeLink(href)) return <span>{children}</span>
  return (
    <a href={href} target="_blank" rel="noreferrer noopener">
      {children}
    </a>
  )
}
