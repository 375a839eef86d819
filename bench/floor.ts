/**
 * The floor: as little as a server can do and still do the work. Written by hand on `node:http` and prepared statements
 * of `node:sqlite`, without a framework, checks of what came, limits, an audit trail, or anything for the operator.
 * Secrets are stored as hashes, and every decision is one guarded statement. Not something to run.
 *
 * @module
 */

import { hash, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import process from 'node:process'
import { parse } from 'node:querystring'
import { DatabaseSync } from 'node:sqlite'

const SCHEMA = `
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = NORMAL;
  CREATE TABLE users (id TEXT PRIMARY KEY, name TEXT NOT NULL);
  CREATE TABLE sessions (secret_hash TEXT PRIMARY KEY, user_id TEXT NOT NULL, expires_at INTEGER NOT NULL);
  CREATE TABLE grants (
    id INTEGER PRIMARY KEY, secret_hash TEXT NOT NULL UNIQUE, user_code TEXT NOT NULL UNIQUE, client_id TEXT NOT NULL,
    status TEXT NOT NULL, user_id TEXT, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL);
  CREATE TABLE credentials (
    id INTEGER PRIMARY KEY, secret_hash TEXT NOT NULL UNIQUE, grant_id INTEGER NOT NULL UNIQUE, user_id TEXT NOT NULL,
    client_id TEXT NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, revoked_at INTEGER);`

const LETTERS = 'BCDFGHJKLMNPQRSTVWXZ'
const INTERVAL = 5
const GRANT_SECONDS = 1800
const CREDENTIAL_SECONDS = 86_400
const TIMES = { expires_in: GRANT_SECONDS, interval: INTERVAL }
/** SQLite's extended result code. */
const UNIQUE_VIOLATION = 2067
/** Who may ask about tokens. */
const RESOURCE_SERVER = Buffer.from(`Basic ${btoa(process.env.FLOOR_RESOURCE_SERVER ?? '')}`)

const sha256 = (text: string) => hash('sha256', text)
const secret = () => randomBytes(32).toString('base64url')

function userCode(): string {
  let code = ''
  for (const byte of randomBytes(8)) code += LETTERS[byte % 20]
  return code
}

/** Opens the database and does all there is to do. */
export function openFloor(file: string) {
  const db = new DatabaseSync(file)
  db.exec(SCHEMA)
  const insertUser = db.prepare('INSERT INTO users VALUES (?, ?)')
  const insertSession = db.prepare('INSERT INTO sessions VALUES (?, ?, ?)')
  const findSession = db.prepare('SELECT user_id FROM sessions WHERE secret_hash = ? AND expires_at > ?')
  const insertGrant = db.prepare(
    `INSERT INTO grants (secret_hash, user_code, client_id, status, created_at, expires_at)
     VALUES (?, ?, ?, 'pending', ?, ?)`,
  )
  const findGrant = db.prepare(
    'SELECT id, client_id, status, user_id, expires_at FROM grants WHERE secret_hash = ?',
  )
  const approveGrant = db.prepare(
    `UPDATE grants SET status = 'approved', user_id = ?
     WHERE user_code = ? AND status = 'pending' AND expires_at > ?`,
  )
  const insertCredential = db.prepare(
    `INSERT INTO credentials (secret_hash, grant_id, user_id, client_id, created_at, expires_at)
     VALUES (?, ?, ?, ?, ?, ?)`,
  )
  const findCredential = db.prepare(
    `SELECT c.id, c.client_id, c.created_at, c.expires_at, u.id AS user_id, u.name
     FROM credentials c JOIN users u ON u.id = c.user_id
     WHERE c.secret_hash = ? AND c.expires_at > ? AND c.revoked_at IS NULL`,
  )
  const lastPolls = new Map<string, number>()
  return {
    signIn(name: string): string {
      const [id, session] = [randomUUID(), secret()]
      insertUser.run(id, name)
      insertSession.run(sha256(session), id, Date.now() + CREDENTIAL_SECONDS * 1000)
      return session
    },
    authorize(clientId: string): { device_code: string; user_code: string } {
      const [device_code, user_code, now] = [secret(), userCode(), Date.now()]
      try {
        insertGrant.run(sha256(device_code), user_code, clientId, now, now + GRANT_SECONDS * 1000)
      } catch (error) {
        // somebody has the same user code: among 200,000 there are two
        if ((error as { errcode?: number }).errcode === UNIQUE_VIOLATION) return this.authorize(clientId)
        throw error
      }
      return { device_code, user_code, ...TIMES }
    },
    approve(session: string, code: string): boolean {
      const now = Date.now()
      const found = findSession.get(sha256(session), now)
      return found !== undefined && approveGrant.run(found.user_id ?? null, code, now).changes === 1
    },
    poll(clientId: string, deviceCode: string): object {
      const [key, now] = [sha256(deviceCode), Date.now()]
      const grant = findGrant.get(key)
      if (grant?.client_id !== clientId || Number(grant.expires_at) <= now) return { error: 'invalid_grant' }
      if (grant.status === 'pending') {
        const last = lastPolls.get(key) ?? 0
        lastPolls.set(key, now)
        return { error: now - last < INTERVAL * 1000 ? 'slow_down' : 'authorization_pending' }
      }
      const token = secret()
      const [id, user_id] = [grant.id ?? null, grant.user_id ?? null]
      insertCredential.run(sha256(token), id, user_id, clientId, now, now + CREDENTIAL_SECONDS * 1000)
      lastPolls.delete(key)
      return { access_token: token, token_type: 'Bearer', expires_in: CREDENTIAL_SECONDS }
    },
    verify: (token: string) => findCredential.get(sha256(token), Date.now()),
  }
}

const bearer = (header: string | null | undefined) => (header?.startsWith('Bearer ') ? header.slice(7) : '')

/** What a gateway would call for a request of its own. */
export function authenticateAt({ verify }: ReturnType<typeof openFloor>, request: Request) {
  return verify(bearer(request.headers.get('authorization')))
}

function answerJson(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body)
  response
    .writeHead(status, {
      'Content-Type': 'application/json',
      'Content-Length': text.length,
      'Cache-Control': 'no-store',
    })
    .end(text)
}

function answerProxy(response: ServerResponse, user: Record<string, unknown> | undefined): void {
  if (user) response.writeHead(200, { 'X-User': String(user.user_id), 'X-Name': String(user.name) }).end()
  else response.writeHead(401, { 'WWW-Authenticate': 'Bearer' }).end()
}

function isResourceServer({ headers }: IncomingMessage): boolean {
  const given = Buffer.from(headers.authorization ?? '')
  return given.length === RESOURCE_SERVER.length && timingSafeEqual(given, RESOURCE_SERVER)
}

/** Serves it. */
export function serveFloor(floor: ReturnType<typeof openFloor>, port: number): void {
  const post = (request: IncomingMessage, response: ServerResponse, body: string) => {
    const form = parse(body) as Record<string, string>
    const { client_id = '', device_code = '', user_code = '', token = '', name = '' } = form
    switch (request.url) {
      case '/authorize':
        return answerJson(response, 200, floor.authorize(client_id))
      case '/token': {
        const answer = floor.poll(client_id, device_code)
        return answerJson(response, 'error' in answer ? 400 : 200, answer)
      }
      case '/approve':
        return answerJson(response, 200, {
          approved: floor.approve(request.headers.cookie?.slice('session='.length) ?? '', user_code),
        })
      case '/introspect': {
        if (!isResourceServer(request)) return answerJson(response, 401, { error: 'invalid_client' })
        const found = floor.verify(token)
        return answerJson(response, 200, found ? { active: true, ...found } : { active: false })
      }
      case '/sign-in':
        return answerJson(response, 200, { session: floor.signIn(name) })
      default:
        return answerJson(response, 404, { error: 'not_found' })
    }
  }
  createServer((request, response) => {
    if (request.method === 'GET') {
      answerProxy(response, floor.verify(bearer(request.headers.authorization)))
      return
    }
    let body = ''
    request.setEncoding('utf8')
    request.on('data', (chunk) => {
      body += chunk
    })
    request.on('end', () => post(request, response, body))
  }).listen(port, '127.0.0.1')
}

if (import.meta.main)
  serveFloor(openFloor(process.env.FLOOR_DATABASE ?? ':memory:'), Number(process.env.PORT))
