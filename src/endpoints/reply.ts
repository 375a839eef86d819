/** Answers of plain text, which are most: made without a Response, which servers would only take apart again. @module */

/** An answer as text, or without a body. */
export class Reply {
  readonly status: number
  /** By the names that this program writes them with, `Content-Type` say: case counts until they are sent. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | null

  constructor(body: string | null, status: number, headers: Readonly<Record<string, string>>) {
    this.body = body
    this.status = status
    this.headers = headers
  }

  /** The same as a Response. */
  toResponse(): Response {
    return new Response(this.body, { status: this.status, headers: this.headers })
  }
}

/** What an endpoint answers with. */
export type Answer = Reply | Response

/** Answers JSON. */
export function json(data: unknown, status = 200, headers: Readonly<Record<string, string>> = {}): Reply {
  return new Reply(JSON.stringify(data), status, { 'Content-Type': 'application/json', ...headers })
}

/** Adds these headers, unless the answer has its own. */
export function withHeaders(answer: Answer, headers: Readonly<Record<string, string>>): Answer {
  if (answer instanceof Reply) return new Reply(answer.body, answer.status, { ...headers, ...answer.headers })
  for (const [name, value] of Object.entries(headers))
    if (!answer.headers.has(name)) answer.headers.set(name, value)
  return answer
}
