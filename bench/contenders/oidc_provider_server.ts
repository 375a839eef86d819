/** oidc-provider with its device flow and introspection, over SQLite by an adapter as its documentation asks for. @module */

import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import process from 'node:process'
import { DatabaseSync } from 'node:sqlite'
// @ts-expect-error oidc-provider ships no types
import { Provider } from 'oidc-provider'

interface OidcGrant {
  addOIDCScope(scope: string): void
  save(): Promise<unknown>
}

interface OidcSession {
  readonly jti: string
  readonly accountId?: string
  grantIdFor(clientId: string): string | undefined
  loginAccount(login: { accountId: string }): void
  save(seconds: number): Promise<unknown>
}

/** The part of it that is used here. */
export interface OidcProvider {
  readonly AccessToken: {
    new (of: object): { readonly isValid: boolean; save(): Promise<string> }
    find(token: string): Promise<{ readonly isValid: boolean } | undefined>
  }
  readonly Client: { find(id: string): Promise<object | undefined> }
  readonly Grant: {
    new (of: { clientId: string; accountId: string }): OidcGrant
    find(id: string): Promise<OidcGrant | undefined>
  }
  readonly Session: new (of: { jti: string }) => OidcSession
  callback(): (request: IncomingMessage, response: ServerResponse) => void
  cookieName(name: string): string
  createContext(
    request: IncomingMessage,
    response: ServerResponse,
  ): { cookies: { set(name: string, value: string, options: object): void } }
}

/** What it hands to callbacks. */
interface Context {
  readonly oidc: {
    readonly session: OidcSession
    readonly client: { readonly clientId: string }
    readonly provider: OidcProvider
  }
}

const SCHEMA = `
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = NORMAL;
  CREATE TABLE models (
    model TEXT NOT NULL, id TEXT NOT NULL, payload TEXT NOT NULL, grant_id TEXT, user_code TEXT, uid TEXT,
    expires_at INTEGER, consumed_at INTEGER, UNIQUE (model, id));
  CREATE INDEX models_grant ON models (grant_id) WHERE grant_id IS NOT NULL;
  CREATE INDEX models_user_code ON models (user_code) WHERE user_code IS NOT NULL;
  CREATE UNIQUE INDEX models_uid ON models (uid) WHERE uid IS NOT NULL;`

/** Makes an adapter for each model, all of them over one table. */
function createAdapters(file: string) {
  const db = new DatabaseSync(file)
  db.exec(SCHEMA)
  const columns = 'SELECT payload, expires_at, consumed_at FROM models'
  const byId = db.prepare(`${columns} WHERE model = ? AND id = ?`)
  const byUserCode = db.prepare(`${columns} WHERE user_code = ? ORDER BY rowid DESC LIMIT 1`)
  const byUid = db.prepare(`${columns} WHERE uid = ?`)
  const upsert = db.prepare(
    `INSERT INTO models (model, id, payload, grant_id, user_code, uid, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (model, id) DO UPDATE SET payload = excluded.payload, expires_at = excluded.expires_at`,
  )
  const consume = db.prepare('UPDATE models SET consumed_at = ? WHERE model = ? AND id = ?')
  const destroy = db.prepare('DELETE FROM models WHERE model = ? AND id = ?')
  const revoke = db.prepare('DELETE FROM models WHERE grant_id = ?')
  const now = () => Math.floor(Date.now() / 1000)
  const read = (row: Record<string, unknown> | undefined) => {
    if (!row || (row.expires_at !== null && Number(row.expires_at) <= now())) return undefined
    const payload = JSON.parse(String(row.payload))
    return row.consumed_at === null ? payload : { ...payload, consumed: row.consumed_at }
  }
  return (model: string) => ({
    async upsert(
      id: string,
      payload: { grantId?: string; userCode?: string; uid?: string },
      expiresIn?: number,
    ) {
      const { grantId = null, userCode = null, uid = null } = payload
      const end = expiresIn ? now() + expiresIn : null
      upsert.run(model, id, JSON.stringify(payload), grantId, userCode, uid, end)
    },
    find: async (id: string) => read(byId.get(model, id)),
    findByUserCode: async (code: string) => read(byUserCode.get(code)),
    findByUid: async (uid: string) => read(byUid.get(uid)),
    consume: async (id: string) => void consume.run(now(), model, id),
    destroy: async (id: string) => void destroy.run(model, id),
    revokeByGrantId: async (grantId: string) => void revoke.run(grantId),
  })
}

const DAY = 86_400

/** Makes it. What an API takes is a scope of its own: no ID token has to be signed. */
export function openOidcProvider(file: string, port: number): OidcProvider {
  return new Provider(`http://127.0.0.1:${port}`, {
    adapter: createAdapters(file),
    clients: [
      {
        client_id: 'bench',
        token_endpoint_auth_method: 'none',
        grant_types: ['urn:ietf:params:oauth:grant-type:device_code'],
        response_types: [],
        redirect_uris: [],
        scope: 'api',
      },
      {
        client_id: 'bench-api',
        client_secret: 'a-secret-of-the-bench',
        grant_types: [],
        response_types: [],
        redirect_uris: [],
      },
    ],
    scopes: ['api'],
    cookies: { keys: ['a-key-of-the-bench'] },
    features: {
      deviceFlow: { enabled: true },
      introspection: { enabled: true, allowedPolicy: () => true },
      devInteractions: { enabled: false },
    },
    findAccount: (_: Context, accountId: string) => ({ accountId, claims: () => ({ sub: accountId }) }),
    // the person has consented by what they clicked: nothing more is asked
    async loadExistingGrant({ oidc: { session, client, provider } }: Context) {
      const { clientId } = client
      const known = session.grantIdFor(clientId)
      if (known) return await provider.Grant.find(known)
      const grant = new provider.Grant({ clientId, accountId: session.accountId ?? '' })
      grant.addOIDCScope('api')
      await grant.save()
      return grant
    },
    ttl: {
      AccessToken: DAY,
      DeviceCode: 1800,
      Grant: 14 * DAY,
      Interaction: 3600,
      Session: 14 * DAY,
    },
  })
}

if (import.meta.main) {
  const port = Number(process.env.PORT)
  const provider = openOidcProvider(process.env.BENCH_DATABASE ?? ':memory:', port)
  const answer = provider.callback()
  createServer(async (request, response) => {
    if (request.url !== '/sign-in') return answer(request, response)
    // how people sign in is not measured: they have a session, as if they had
    const session = new provider.Session({ jti: randomUUID() })
    session.loginAccount({ accountId: randomUUID() })
    await session.save(DAY)
    provider
      .createContext(request, response)
      .cookies.set(provider.cookieName('session'), session.jti, { signed: true, httpOnly: true })
    response.end()
  }).listen(port, '127.0.0.1')
}
