/** Receivers of webhooks on real sockets, and a gate that can be waited for: no test sleeps. @module */

import { randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import { configure, type LogRecord, reset } from '@logtape/logtape'
import { Webhook } from 'standardwebhooks'
import { afterEach, beforeEach, expect, vi } from 'vitest'
import type { PairgateOptions } from '../../src/mod.ts'
import type { PairgateEvent } from '../../src/options.ts'
import { createTestGate, type TestGate } from './gate.ts'

/** One request that a receiver got. */
export interface Received {
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** Answers a request, or does not. */
export type Reply = (response: ServerResponse, request: Received) => void

/** A receiver of webhooks. */
export interface Receiver {
  /** With a path and a query that nobody else needs to know. */
  readonly url: string
  readonly host: string
  readonly secret: string
  readonly requests: readonly Received[]
  /** The events of all requests, in order. */
  events(): PairgateEvent[]
  /** How it answers from now on. */
  reply: Reply
  /** Resolves once it has got so many requests. */
  arrived(count: number): Promise<void>
  close(): Promise<void>
}

/** A fresh webhook secret. */
export const webhookSecret = () => `whsec_${randomBytes(32).toString('base64')}`

/** Replies with a status and nothing else. */
export const replyWith =
  (status: number, headers: Record<string, string> = {}): Reply =>
  (response) =>
    response.writeHead(status, headers).end()

/** Does not reply. */
export const hang: Reply = () => undefined

async function read(request: IncomingMessage): Promise<Received> {
  let body = ''
  for await (const chunk of request.setEncoding('utf8')) body += chunk
  const headers = Object.fromEntries(
    Object.entries(request.headers).map(([name, value]) => [name, `${value}`]),
  )
  return { method: request.method ?? '', path: request.url ?? '', headers, body }
}

/** The event that a request carries. */
export function readEvent({ body }: Received): PairgateEvent {
  const { data, ...rest } = JSON.parse(body)
  return { ...data, ...rest }
}

/** Starts a receiver, on a free port if none is given; it answers 204. */
export async function listenWebhook(port = 0): Promise<Receiver> {
  const requests: Received[] = []
  const waiting: { count: number; resolve: () => void }[] = []
  const receiver = { reply: replyWith(204) }
  const server = createServer(async (request, response) => {
    const received = await read(request)
    requests.push(received)
    receiver.reply(response, received)
    for (const { count, resolve } of waiting) if (requests.length >= count) resolve()
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return Object.assign(receiver, {
    url: `http://${host}/hidden-path?hidden=query`,
    host,
    secret: webhookSecret(),
    requests,
    events: () => requests.map(readEvent),
    arrived: (count: number) =>
      new Promise<void>((resolve) => {
        if (requests.length >= count) resolve()
        else waiting.push({ count, resolve })
      }),
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  })
}

/** Verifies a request as a receiver does, by the library of the specification; throws when it is not genuine. */
export function verify({ headers, body }: Received, secret: string, now: number): unknown {
  vi.setSystemTime(now)
  try {
    return new Webhook(secret).verify(body, headers)
  } finally {
    vi.useRealTimers()
  }
}

/** A gate that can be waited for. */
export interface SettledGate extends TestGate {
  now(): number
  /** Waits until nothing goes on any more. */
  settle(): Promise<void>
}

/** Makes a gate that can be waited for. */
export function createSettledGate(options: Partial<PairgateOptions> = {}): SettledGate {
  let now = Date.now()
  const pending = new Set<Promise<unknown>>()
  const test = createTestGate({
    now: () => now,
    waitUntil: (work) => {
      pending.add(work)
      work.finally(() => pending.delete(work))
    },
    ...options,
  })
  return {
    ...test,
    now: options.now ?? (() => now),
    advance: (seconds) => {
      now += seconds * 1000
    },
    async settle() {
      while (pending.size > 0) await Promise.all(pending)
    },
  }
}

/** Catches what is logged from now on. */
export async function catchLog(): Promise<LogRecord[]> {
  const records: LogRecord[] = []
  await configure({
    reset: true,
    sinks: { memory: (record) => void records.push(record) },
    loggers: [
      { category: 'pairgate', lowestLevel: 'trace', sinks: ['memory'] },
      { category: ['logtape', 'meta'], lowestLevel: 'error', sinks: ['memory'] },
    ],
  })
  return records
}

/** Somebody to whom things happen. */
export const ALICE = { issuer: 'urn:pairgate:dev', subject: 'alice' }

/** The option that sends everything to these. */
export const webhooksTo = (...to: Receiver[]) => to.map(({ url, secret }) => ({ url, secret }))

/** Something happens. */
export async function happen(t: SettledGate): Promise<void> {
  await t.gate.users.enable(ALICE)
  await t.settle()
}

/** Time passes, and then some request comes. */
export async function knock(t: SettledGate, seconds = 0): Promise<void> {
  t.advance(seconds)
  await t.fetch('/readyz')
  await t.settle()
}

/** The deliveries that are not over. */
export const waiting = (t: SettledGate) => t.rows('SELECT attempts, next_at FROM deliveries')

/**
 * For all tests of a file: what is logged is caught, and must never hold a webhook's path, query, secret or body; and
 * receivers are closed.
 */
export function watchWebhooks() {
  const receivers: Receiver[] = []
  let records: LogRecord[] = []
  beforeEach(async () => {
    records = await catchLog()
  })
  afterEach(async () => {
    const text = inspect(records, { depth: 12, maxArrayLength: null, maxStringLength: null })
    const secrets = receivers.map(({ secret }) => secret)
    await Promise.all(receivers.splice(0).map((receiver) => receiver.close()))
    await reset()
    vi.restoreAllMocks()
    for (const secret of ['hidden', '"data"', ...secrets]) expect(text).not.toContain(secret)
  })
  /** Sees to it that a receiver is closed. */
  const adopt = (receiver: Receiver) => {
    receivers.push(receiver)
    return receiver
  }
  return {
    adopt,
    /** Starts a receiver. */
    receive: async (reply: Reply = replyWith(204)) => Object.assign(adopt(await listenWebhook()), { reply }),
    /** What was logged: messages and their properties. */
    logged: (level: LogRecord['level']) =>
      records
        .filter((record) => record.level === level)
        .map(({ rawMessage, properties }) => [String(rawMessage), properties]),
  }
}
