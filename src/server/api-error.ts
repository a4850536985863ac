// Steps 1 and 9. What went wrong as clients of HTTP APIs know it: a status, a type, a code and a sentence. Whatever is
// not the caller's doing becomes a sentence that names neither paths nor code; the whole of it goes to the log.

import { UserError } from "../util/errors.ts"

export type Status = 400 | 401 | 403 | 404 | 405 | 408 | 413 | 415 | 429 | 431 | 499 | 500 | 501 | 503 | 504

interface ErrorDetails {
  /** For programs: `context_length_exceeded` and the like. */
  code?: string
  /** The field of the body that is wrong, as a path. */
  param?: string
  headers?: Readonly<Record<string, string>>
  cause?: unknown
}

export class ApiError extends Error {
  readonly status: Status
  readonly code: string | null
  readonly param: string | null
  readonly headers: Readonly<Record<string, string>>

  constructor(status: Status, message: string, { code, param, headers = {}, cause }: ErrorDetails = {}) {
    super(message, { cause })
    this.name = "ApiError"
    this.status = status
    this.code = code ?? null
    this.param = param ?? null
    this.headers = headers
  }
}

/** What the caller may know of anything that was thrown. */
export function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error
  if (!(error instanceof UserError)) return internalError(error)
  switch (error.code) {
    case "bad-argument":
    case "bad-request":
      return new ApiError(400, error.message, { cause: error })
    case "context-exceeded":
      return new ApiError(400, error.message, { code: "context_length_exceeded", cause: error })
    case "cancelled":
      // Whoever cancels gives the reason; a client that hung up is not there to read one.
      if (error.cause instanceof ApiError) return error.cause
      return new ApiError(499, "the client closed the connection", { cause: error })
    case "model-too-large":
    case "out-of-memory":
      return new ApiError(503, "the server has too little memory for this now: try again later", {
        cause: error,
      })
    case "bad-file":
    case "disk-full":
    case "network":
    case "not-found":
    case "permission":
    case "unsupported":
      return internalError(error)
    default:
      return error.code satisfies never
  }
}

function internalError(cause: unknown): ApiError {
  const message = "the server failed at this request: its log says more under the id of x-request-id"
  return new ApiError(500, message, { code: "internal_error", cause })
}

const openAiTypes: Partial<Record<Status, string>> = {
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  429: "rate_limit_error",
  500: "server_error",
  501: "not_implemented_error",
  503: "server_error",
  504: "timeout_error",
}

/** The body of an error in OpenAI's shape. */
export function openAiError({ message, status, code, param }: ApiError) {
  return { error: { message, type: openAiTypes[status] ?? "invalid_request_error", param, code } }
}

const anthropicTypes: Partial<Record<Status, string>> = {
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  413: "request_too_large",
  429: "rate_limit_error",
  500: "api_error",
  503: "overloaded_error",
  504: "timeout_error",
}

/** The body of an error in Anthropic's shape. */
export function anthropicError({ message, status }: ApiError) {
  return { type: "error", error: { type: anthropicTypes[status] ?? "invalid_request_error", message } }
}
