/** A gate that proxies ask: its people come from a hook, its policies are named, and its database can be taken away. @module */

import type { Identity, PairgateOptions } from '../../src/mod.ts'
import { PairgateError } from '../../src/mod.ts'
import { callAs, postForm } from './credentials.ts'
import { watchSqlite } from './faults.ts'
import { BASE, createTestGate, DEVICE_GRANT, type TestGate } from './gate.ts'

/** Somebody. */
export const ALICE = { subject: 'alice', name: 'Alice', email: 'alice@example.org' } satisfies Identity

/** Policies of every sort: of one scope, of two, with a service of its own. */
export const POLICIES = {
  write: { scopes: ['write'], audience: 'https://files.example' },
  both: { scopes: ['read', 'write'] },
  'Team_2-x': {},
} satisfies PairgateOptions['policies']

/** Options of such a gate. The hook believes a cookie: it stands for the gateway's own session. */
export const AUTHZ_OPTIONS = {
  identify: (request: Request) => {
    const [, who] = /who=([^;]*)/.exec(request.headers.get('cookie') ?? '') ?? []
    return who === undefined ? null : (JSON.parse(decodeURIComponent(who)) as Identity)
  },
  clients: { tool: { name: 'Tool', scopes: ['read', 'write'] } },
  policies: POLICIES,
} satisfies Partial<PairgateOptions>

/** Makes one. */
export function createAuthzGate(options: Partial<PairgateOptions> = {}): TestGate {
  return createTestGate({ ...AUTHZ_OPTIONS, ...options })
}

/** Makes one whose database can be taken away. */
export function createShakyGate(options: Partial<PairgateOptions> = {}) {
  const shaky = { error: null as Error | null }
  const database = watchSqlite(':memory:', () => {
    if (shaky.error) throw shaky.error
  })
  return {
    ...createAuthzGate({ database, ...options }),
    /** Takes it away; or makes it fail in some other way. */
    breakDown(error: Error = new PairgateError('ERR_PAIRGATE_STORE_UNAVAILABLE', 'zzdetail')) {
      shaky.error = error
    },
    mend() {
      shaky.error = null
    },
  }
}

/** Signs a CLI in for somebody; the answer is a key with these scopes. */
export async function keyFor(
  t: TestGate,
  identity: Identity = ALICE,
  login: { scope?: string; client_id?: string; tenant?: string } = {},
): Promise<string> {
  const { scope = '', client_id = 'tool', tenant } = login
  const { base } = originOf(t)
  const started = await postForm(t, `${base}/oauth/device/authorize`, { client_id, ...(scope && { scope }) })
  const { device_code, user_code } = started.body
  const headers = {
    cookie: `who=${encodeURIComponent(JSON.stringify(identity))}`,
    origin: originOf(t).origin,
    'content-type': 'application/json',
  }
  const body = JSON.stringify({ user_code, tenant })
  const decided = await t.fetch(`${base}/trpc/device.approve`, { method: 'POST', body, headers })
  if (decided.status !== 200) throw new Error(await decided.text())
  const poll = { grant_type: DEVICE_GRANT, client_id, device_code: String(device_code) }
  const { body: token } = await postForm(t, `${base}/oauth/device/token`, poll)
  if (!token.access_token) throw new Error(JSON.stringify(token))
  return String(token.access_token)
}

function originOf(t: TestGate): { origin: string; base: string } {
  const base = 'base' in t ? String(t.base) : BASE
  return { origin: new URL(base).origin, base: new URL(base).pathname.replace(/\/$/, '') }
}

/** A header with a credential. */
export const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

/** What an endpoint for proxies answered. */
export interface Verdict {
  readonly status: number
  /** `X-Pairgate-Error`. */
  readonly error: string | null
  readonly headers: Headers
}

/** Asks as a proxy does. */
export async function ask(
  t: TestGate,
  path: string,
  token: string | null = null,
  init: RequestInit = {},
): Promise<Verdict> {
  const headers = { ...(token !== null && bearer(token)), ...(init.headers as Record<string, string>) }
  const response = await t.fetch(`/authz/${path}`, { ...init, headers })
  await response.body?.cancel()
  return {
    status: response.status,
    error: response.headers.get('x-pairgate-error'),
    headers: response.headers,
  }
}

/** Ends a credential. */
export async function endKey(t: TestGate, token: string): Promise<void> {
  const { status } = await callAs(t, token, 'session.signOut', {})
  if (status !== 200) throw new Error(`It was not ended: ${status}`)
}
