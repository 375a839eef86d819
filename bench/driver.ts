/**
 * The client side: HTTP/1.1 over raw sockets, which costs less than what is measured. One request at a time on each
 * connection, and every answer is handed to whoever asked, to be checked.
 *
 * @module
 */

import { connect, type Socket } from 'node:net'

/** Connections that requests come over. */
export const CONNECTIONS = 32
/** Longer than any answer takes, also of a poll that is held; milliseconds. */
const TOO_LONG = 60_000

/** An answer, whole. Its texts have a character for each byte. */
export interface Answer {
  readonly status: number
  /** Status line and headers. */
  readonly head: string
  readonly body: string
}

/** Sends a request as {@link createWire} writes it. Rejects when the connection ends without an answer. */
export type Send = (request: string) => Promise<Answer>

/** What is done over one connection, again and again; rejects when an answer is not what it must be. */
export type Unit = (send: Send, i: number) => Promise<void>

/** Fields of a form, or headers. */
export type Fields = Readonly<Record<string, string>>

/** What a small client sends along with everything. */
const USUAL = 'User-Agent: bench/1.0\r\nAccept: */*\r\n'

/** Writes requests for the server on a port. */
export function createWire(port: number) {
  const write = (method: string, path: string, headers: Fields, body: string) => {
    let head = `${method} ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n${USUAL}`
    for (const name in headers) head += `${name}: ${headers[name]}\r\n`
    return method === 'GET' ? `${head}\r\n` : `${head}Content-Length: ${body.length}\r\n\r\n${body}`
  }
  return {
    get: (path: string, headers: Fields = {}) => write('GET', path, headers, ''),
    form: (path: string, fields: Fields, headers: Fields = {}) =>
      write(
        'POST',
        path,
        { ...headers, 'Content-Type': 'application/x-www-form-urlencoded' },
        new URLSearchParams(fields).toString(),
      ),
    json: (path: string, body: object, headers: Fields = {}) =>
      write('POST', path, { ...headers, 'Content-Type': 'application/json' }, JSON.stringify(body)),
  }
}

/** What requests are written with. */
export type Wire = ReturnType<typeof createWire>

/** Takes a chunked body apart (RFC 9112 section 7.1); null when it is not whole yet. */
function readChunks(text: string, start: number): string | null {
  let body = ''
  for (let at = start; ; ) {
    const line = text.indexOf('\r\n', at)
    const size = line < 0 ? Number.NaN : Number.parseInt(text.slice(at, line), 16)
    if (Number.isNaN(size) || text.length < line + 2 + size + 2) return null
    if (size === 0) return body
    body += text.slice(line + 2, line + 2 + size)
    at = line + 2 + size + 2
  }
}

/** Reads an answer; null when it is not whole yet. */
function readAnswer(text: string): Answer | null {
  const end = text.indexOf('\r\n\r\n')
  if (end < 0) return null
  const head = text.slice(0, end)
  const status = Number(head.slice(9, 12))
  const start = end + 4
  const [, length] = /\r\ncontent-length: *(\d+)/i.exec(head) ?? []
  if (length === undefined && /\r\ntransfer-encoding: *chunked/i.test(head)) {
    const body = readChunks(text, start)
    return body === null ? null : { status, head, body }
  }
  const size = Number(length ?? 0)
  return text.length < start + size ? null : { status, head, body: text.slice(start, start + size) }
}

/** A connection that is made when it is needed, and again when the server has closed it. */
export function createConnection(port: number, localAddress = '127.0.0.1'): { send: Send; close(): void } {
  let socket: Socket | undefined
  let settle: { resolve(answer: Answer): void; reject(error: Error): void } | undefined
  let text = ''
  const end = (error: Error) => {
    socket?.destroy()
    socket = undefined
    settle?.reject(error)
    settle = undefined
  }
  const open = () => {
    const opened = connect({ port, host: '127.0.0.1', localAddress }).setNoDelay().setEncoding('latin1')
    const fail = (error: Error) => {
      if (socket === opened) end(error)
    }
    opened
      .setTimeout(TOO_LONG, () => fail(new Error(`No answer within ${TOO_LONG} ms`)))
      .on('error', fail)
      .on('close', () => fail(new Error('The server closed a connection that waited for an answer')))
    opened.on('data', (chunk: string) => {
      text += chunk
      const answer = readAnswer(text)
      if (!answer) return
      text = ''
      if (/\r\nconnection: *close/i.test(answer.head)) {
        socket = undefined
        opened.destroy()
      }
      settle?.resolve(answer)
    })
    return opened
  }
  return {
    send: (request) =>
      new Promise((resolve, reject) => {
        settle = { resolve, reject }
        text = ''
        socket ??= open()
        socket.write(request)
      }),
    close() {
      settle = undefined
      socket?.destroy()
      socket = undefined
    },
  }
}

/**
 * Keeps this process awake. Else it sleeps until there is an answer, and whoever answers pays for waking it: up to 20 µs on
 * a virtual machine, the more often the slower they are.
 *
 * @returns Lets it sleep again.
 */
function stayAwake(): () => void {
  let isNeeded = true
  const turn = () => {
    if (isNeeded) setImmediate(turn)
  }
  turn()
  return () => {
    isNeeded = false
  }
}

/** What was done, and how long that took. */
export interface Driven {
  readonly done: number
  readonly seconds: number
}

/**
 * Does a unit over and over on several connections at once.
 *
 * @param limits.count Ends after so many at the latest.
 * @param limits.seconds Begins no more after so long.
 * @returns Once all that began has ended. Rejects with what failed first; then nothing begins any more.
 */
export async function drive(
  port: number,
  unit: Unit,
  {
    count = Number.POSITIVE_INFINITY,
    seconds = Number.POSITIVE_INFINITY,
    connections = CONNECTIONS,
  }: { count?: number; seconds?: number; connections?: number },
): Promise<Driven> {
  const began = performance.now()
  const end = began + seconds * 1000
  let next = 0
  const errors: unknown[] = []
  const work = async () => {
    const { send, close } = createConnection(port)
    try {
      while (errors.length === 0 && next < count && performance.now() < end) await unit(send, next++)
    } catch (error) {
      errors.push(error)
    } finally {
      close()
    }
  }
  const sleep = stayAwake()
  await Promise.all(Array.from({ length: Math.max(0, Math.min(connections, count)) }, work))
  sleep()
  if (errors.length > 0) throw errors[0]
  return { done: next, seconds: (performance.now() - began) / 1000 }
}
