/**
 * Tells others what happened: the hook `onEvent`, and webhooks as the Standard Webhooks specification has it, at least
 * once each. There are no timers: a delivery that waits for its next attempt is found by whatever request comes.
 *
 * @module
 */

import type { Webhook } from '../config.ts'
import { hmacBase64 } from '../hash.ts'
import type { PairgateEvent } from '../options.ts'
import type { AuditEvent, Delivery, Store } from '../store.ts'
import type { Deps } from './deps.ts'

/** What events say of a person. */
type Person = NonNullable<PairgateEvent['user']>

/** How long a receiver may take; milliseconds. */
const TIMEOUT = 10_000
/** An attempt that was not heard of for so long ended with its process; outlives the timeout. Milliseconds. */
const LEASE = 60_000
/** The wait after each attempt, as the specification proposes; seconds. After the one that follows the last of these: never. */
const SCHEDULE = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]
/** A receiver that asks for more patience gets no more; seconds. */
const MOST_PATIENCE = 86_400
const EVERY = 5_000
const BATCH = 20
/** Attempts of one process at once; what is beyond waits in the table for its turn. */
const MOST_AT_ONCE = 50
const last = new WeakMap<Deps, number>()
const underWay = new WeakMap<Deps, number>()

/** An event as it leaves pairgate. */
export function toPairgateEvent(event: AuditEvent, user: Person | null): PairgateEvent {
  const { id, at, type, user_id: _userId, ...rest } = event
  const person = user && { issuer: user.issuer, subject: user.subject, name: user.name, email: user.email }
  return { id, type, timestamp: new Date(at).toISOString(), user: person, ...rest }
}

/** A delivery whose time has come. */
type Due = Awaited<ReturnType<Store['dueDeliveries']>>[number]

/** What became of an attempt. */
type Answer =
  | { readonly status: 'delivered' | 'gone' }
  | { readonly status: 'failed'; readonly reason: string; readonly retryAfter: number }

function readAnswer(response: Response): Answer {
  if (response.ok) return { status: 'delivered' }
  if (response.status === 410) return { status: 'gone' }
  const retryAfter = /^\d{1,9}$/.exec(response.headers.get('retry-after') ?? '')?.[0] ?? 0
  return { status: 'failed', reason: `status ${response.status}`, retryAfter: Number(retryAfter) }
}

/** A place among the attempts under way; null when as many as may be are at it. */
function takeTurn(deps: Deps): { release(): void } | null {
  const count = (change: number) => underWay.set(deps, (underWay.get(deps) ?? 0) + change)
  if ((underWay.get(deps) ?? 0) >= MOST_AT_ONCE) return null
  count(1)
  return { release: () => void count(-1) }
}

/** Makes one attempt, which never rejects. */
async function send(deps: Deps, { url, keys }: Webhook, event: PairgateEvent): Promise<Answer> {
  const { type, timestamp, ...data } = event
  const body = JSON.stringify({ type, timestamp, data })
  const seconds = String(Math.floor(deps.now() / 1000))
  const signed = `${event.id}.${seconds}.${body}`
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'user-agent': 'pairgate',
        'webhook-id': event.id,
        'webhook-timestamp': seconds,
        'webhook-signature': keys.map((key) => `v1,${hmacBase64(key, signed)}`).join(' '),
      },
      body,
      redirect: 'manual',
      signal: AbortSignal.timeout(TIMEOUT),
    })
    // nobody waits for the rest of the answer, nor for its end
    response.body?.cancel().catch(() => undefined)
    return readAnswer(response)
  } catch (error) {
    // no more than the name: on some runtimes the message has the URL in it
    return { status: 'failed', reason: error instanceof Error ? error.name : 'unknown', retryAfter: 0 }
  }
}

/** When to try again after so many attempts: up to a tenth late, so that what failed together does not come back together. */
function nextTime(deps: Deps, tries: number): number {
  const [chance = 0] = deps.random(1)
  return deps.now() + Math.round((SCHEDULE[tries - 1] ?? 0) * 1000 * (1 + chance / 2_550))
}

/**
 * Makes one attempt and notes what became of it.
 *
 * @param delivery As it is stored: `next_at` is when somebody else tries again, should this process end on the way.
 * @param tries The number of this attempt.
 */
async function attempt(
  deps: Deps,
  webhook: Webhook,
  delivery: Delivery,
  event: PairgateEvent,
  tries: number,
): Promise<void> {
  const answer = await send(deps, webhook, event)
  const about = { host: new URL(webhook.url).host, event: event.type, event_id: event.id }
  if (answer.status === 'gone') deps.log.warn('A webhook is gone: take it out of the options', about)
  if (answer.status !== 'failed') return await deps.store.dropDelivery(delivery.id)
  const { reason } = answer
  if (tries > SCHEDULE.length) {
    deps.log.error('A webhook could not be delivered, and is not tried again', { ...about, reason })
    return await deps.store.dropDelivery(delivery.id)
  }
  deps.log.warn('A webhook could not be delivered, and is tried again later', { ...about, reason })
  // from the second on an attempt has noted its successor when it took its turn
  const planned = tries === 1 ? nextTime(deps, tries) : delivery.next_at
  const nextAt = Math.max(planned, deps.now() + Math.min(answer.retryAfter, MOST_PATIENCE) * 1000)
  // fails when this took so long that somebody else has gone on; patience that was asked for counts as an attempt
  if (nextAt !== delivery.next_at) await deps.store.claimDelivery(delivery, nextAt)
}

/** Notes that an event has to reach a webhook, and tries at once. */
async function deliver(deps: Deps, webhook: Webhook, event: PairgateEvent): Promise<void> {
  const now = deps.now()
  const turn = takeTurn(deps)
  const delivery = {
    id: deps.randomId(12),
    event_id: event.id,
    endpoint: webhook.id,
    attempts: 0,
    next_at: turn ? now + LEASE : now,
    created_at: now,
  }
  try {
    await deps.store.insertDelivery(delivery)
  } catch (error) {
    // what cannot be noted can still be said, once
    deps.log.error('A delivery could not be noted', { event: event.type, event_id: event.id, error })
  }
  try {
    if (turn) await attempt(deps, webhook, delivery, event, 1)
  } finally {
    turn?.release()
  }
}

async function callHook(deps: Deps, event: PairgateEvent): Promise<void> {
  try {
    await deps.config.onEvent?.(event)
  } catch (error) {
    deps.log.error('The onEvent hook failed', { event: event.type, event_id: event.id, error })
  }
}

async function tell(
  deps: Deps,
  row: AuditEvent,
  user: Person | null,
  webhooks: readonly Webhook[],
): Promise<void> {
  // name and e-mail as all later readers of the trail get them; whoever recorded the event may not know them
  const known = row.user_id === null ? null : await deps.store.findUser(row.user_id).catch(() => null)
  const event = toPairgateEvent(row, known ?? user)
  // each by itself: none waits for another, or fails with it
  deps.defer(callHook(deps, event))
  for (const webhook of webhooks) deps.defer(deliver(deps, webhook, event))
}

/** Tells the hook and the webhooks of an event, after the answer. */
export function announce(deps: Deps, event: AuditEvent, user: Person | null): void {
  const { onEvent, webhooks } = deps.config
  const wanting = webhooks.filter(({ events }) => events.includes(event.type))
  if (onEvent || wanting.length > 0) deps.defer(tell(deps, event, user, wanting))
}

/** Takes a turn at a delivery that is due. */
async function retry(deps: Deps, { delivery, event, user }: Due): Promise<void> {
  const webhook = deps.config.webhooks.find(({ id }) => id === delivery.endpoint)
  if (!webhook) return await deps.store.dropDelivery(delivery.id)
  const turn = takeTurn(deps)
  if (!turn) return
  try {
    const attempts = delivery.attempts + 1
    const next_at = Math.max(nextTime(deps, attempts), deps.now() + LEASE)
    // of several processes one gets it
    if (!(await deps.store.claimDelivery(delivery, next_at))) return
    await attempt(deps, webhook, { ...delivery, attempts, next_at }, toPairgateEvent(event, user), attempts)
  } finally {
    turn.release()
  }
}

async function retryDue(deps: Deps): Promise<void> {
  for (const due of await deps.store.dueDeliveries(deps.now(), BATCH)) deps.defer(retry(deps, due))
}

/**
 * Tries again what is due, at most every 5 seconds per process and 20 deliveries at a time, after the answer. What is
 * for a webhook that is no longer among the options is forgotten.
 */
export function deliverSometimes(deps: Deps): void {
  if (deps.config.webhooks.length === 0) return
  const now = deps.now()
  if (now - (last.get(deps) ?? 0) < EVERY) return
  last.set(deps, now)
  deps.defer(retryDue(deps))
}
