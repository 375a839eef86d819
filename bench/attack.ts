/**
 * Whoever guesses, and whoever just wants to sign in meanwhile: random keys and wrong user codes against a server that
 * runs as a process of its own, and random keys against a gate in this process whose statements are counted.
 *
 * @module
 */

import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { createSecret, secretKind } from '../src/core/secret.ts'
import { BASE, createBrowser, type TestBrowser } from '../test/support/gate.ts'
import { FLOWS, openDecision, poll, type Send, startLogin } from '../test/support/logins.ts'
import { type StandaloneServer, sqlBeside, startStandalone } from '../test/support/standalone.ts'
import { createListened } from '../test/support/statements.ts'

const IN_PROCESS = 1_000_000
const OVER_SOCKETS = 100_000
const SOCKETS = 8
/** Requests on their way in one socket at a time, and in all: the server closes a socket after 1000. */
const PIPELINE = 16
const PER_SOCKET = 500
const CODES = 10_000
const ACCOUNTS = 40
const ADDRESSES = 20
const QUIET_LOGINS = 60

const random = (length: number) => new Uint8Array(randomBytes(length))
const wellFormed = () => createSecret(random, 'pg', 'api_key')

/** A key whose check characters do not fit. */
function malformed(): string {
  const text = `pgk_${randomBytes(48).toString('hex').slice(0, 49)}`
  return secretKind('pg', text) === null ? text : malformed()
}

/** Every other one has check characters that fit. */
const guess = (i: number) => (i % 2 ? wellFormed() : malformed())

/** How many answers had which status. */
type Counts = Record<string, number>

const add = (counts: Counts, status: string | number) => {
  counts[status] = (counts[status] ?? 0) + 1
}

const show = (counts: Counts) =>
  Object.entries(counts)
    .map(([status, n]) => `${n} x ${status}`)
    .join(', ') || 'none'

/** Guesses keys on one keep-alive socket, several at a time; node:http would be the slower part. */
async function guessOnSocket(port: number, n: number, counts: Counts): Promise<void> {
  const socket = connect(port, '127.0.0.1').setNoDelay().setEncoding('latin1')
  let sent = 0
  let answered = 0
  let text = ''
  const send = () => {
    let requests = ''
    while (sent < n && sent - answered < PIPELINE) {
      requests += `GET /secured HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAuthorization: Bearer ${guess(sent++)}\r\n\r\n`
    }
    socket.write(requests)
  }
  await new Promise<void>((resolve, reject) => {
    socket
      .once('error', reject)
      .once('close', () => reject(new Error(`The socket closed after ${answered} answers`)))
    socket.on('data', (chunk: string) => {
      text += chunk
      // the bodies are the same few words, and have no line that begins like this
      const found = [...text.matchAll(/HTTP\/1\.1 (\d{3}) [\s\S]*?\r\n\r\n/g)]
      for (const [, status = ''] of found) add(counts, status)
      answered += found.length
      const last = found.at(-1)
      if (last) text = text.slice(last.index + last[0].length)
      if (answered >= n) resolve()
      else if (sent - answered < PIPELINE / 2 || sent === n) send()
    })
    send()
  })
  socket.removeAllListeners('close').destroy()
}

/** Guesses keys without a socket, where the database's statements can be counted. */
async function guessInProcess(n: number) {
  const t = await createListened()
  // what the start has left to be done
  await t.during(async () => undefined)
  const counts: Counts = {}
  const statements: Counts = {}
  const began = performance.now()
  for (const [kind, make] of Object.entries({ malformed, 'well-formed': wellFormed })) {
    statements[kind] = 0
    // in pieces, so that what is listened to does not fill the memory
    for (let done = 0; done < n / 2; done += 1_000) {
      const run = await t.during(async () => {
        for (let i = 0; i < 1_000; i++) {
          const request = new Request(`${BASE}/secured`, { headers: { authorization: `Bearer ${make()}` } })
          add(counts, (await t.gate.fetch(request, { remoteAddress: '127.0.0.1' })).status)
        }
      })
      statements[kind] += run.length
    }
  }
  const seconds = (performance.now() - began) / 1000
  await t.gate.close()
  return { counts, statements, perSecond: Math.round(n / seconds) }
}

/** Sends as from an address, which the server believes of its proxy, and notes how long each answer takes. */
function sendFrom(server: StandaloneServer, address: string, times: number[] = []): Send {
  return async (path, init) => {
    const headers = new Headers(init?.headers)
    headers.set('x-forwarded-for', address)
    const began = performance.now()
    const response = await fetch(new URL(path, server.base), { redirect: 'manual', ...init, headers })
    times.push(performance.now() - began)
    return response
  }
}

interface Logins {
  readonly times: number[]
  done: number
  readonly failed: string[]
}

/** One person who signs in by both flows, again and again, until `isOver` says so. */
async function signInAgain(
  server: StandaloneServer,
  address: string,
  isOver: (done: number) => boolean,
): Promise<Logins> {
  const logins: Logins = { times: [], done: 0, failed: [] }
  const send = sendFrom(server, address, logins.times)
  while (!isOver(logins.done)) {
    try {
      const person = createBrowser(send, server.base)
      await person.signIn(`user at ${address}`)
      const login = await startLogin(send, FLOWS[logins.done % 2] ?? 'device')
      const said = await (await openDecision(send, server.base, person, login))('allow')
      const { status, body } = await poll(send, login)
      const token = String(body.access_token)
      const used = await send('/secured', { headers: { authorization: `Bearer ${token}` } })
      if (said !== 'approved' || status !== 'issued' || used.status !== 200)
        logins.failed.push(`${said} ${status} ${used.status}`)
      // nobody may have more than so many
      await send('/oauth/revoke', {
        method: 'POST',
        body: new URLSearchParams({ client_id: 'pairgate-cli', token }),
      })
    } catch (error) {
      logins.failed.push(String(error))
    }
    logins.done++
  }
  return logins
}

/** Wrong user codes by many accounts from fewer addresses, at the page. */
async function guessCodes(server: StandaloneServer): Promise<Counts> {
  const counts: Counts = {}
  const people: TestBrowser[] = []
  for (let i = 0; i < ACCOUNTS; i++) {
    const person = createBrowser(sendFrom(server, `203.0.113.${1 + (i % ADDRESSES)}`), server.base)
    await person.signIn(`guesser ${i}`)
    people.push(person)
  }
  const codeOf = (i: number) =>
    [...i.toString(16).padStart(8, '0')]
      .map((digit) => 'BCDFGHJKLMNPQRST'[Number.parseInt(digit, 16)])
      .join('')
  for (let i = 0; i < CODES; i += people.length)
    await Promise.all(
      people.map(async (person, k) =>
        add(counts, (await person.get(`/device?user_code=${codeOf(i + k)}`)).status),
      ),
    )
  return counts
}

const quantile = (times: readonly number[], q: number) =>
  Number((times.toSorted((a, b) => a - b)[Math.floor(times.length * q)] ?? 0).toFixed(1))

async function underAttack(server: StandaloneServer) {
  const port = Number(new URL(server.base).port)
  const keys: Counts = {}
  let isOver = false
  const users = [
    signInAgain(server, '198.51.100.1', () => isOver),
    signInAgain(server, '198.51.100.2', () => isOver),
  ]
  const began = performance.now()
  const guessKeys = async () => {
    const guessAll = async () => {
      for (let i = 0; i < OVER_SOCKETS / SOCKETS; i += PER_SOCKET) await guessOnSocket(port, PER_SOCKET, keys)
    }
    await Promise.all(Array.from({ length: SOCKETS }, guessAll))
    return (performance.now() - began) / 1000
  }
  const [keySeconds, codes] = await Promise.all([guessKeys(), guessCodes(server)])
  const seconds = (performance.now() - began) / 1000
  // while the guessing is not forgotten yet
  const { code } = await startLogin(sendFrom(server, '198.51.100.3'), 'device')
  isOver = true
  const logins = await Promise.all(users)
  return { keys, keySeconds, codes, seconds, code, logins }
}

const folder = mkdtempSync(join(tmpdir(), 'pairgate-attack-'))
const config = join(folder, 'config.json')
// its limits are the usual ones, but for the starts of the few who sign in all the time
writeFileSync(
  config,
  JSON.stringify({ trustedProxies: ['127.0.0.1/32'], limits: { startPerMinute: 1_000_000 } }),
)
const server = await startStandalone({ PAIRGATE_CONFIG: config, PAIRGATE_LOG: 'json:error' })
try {
  await signInAgain(server, '198.51.100.9', (done) => done >= 10)
  const quiet = await signInAgain(server, '198.51.100.9', (done) => done >= QUIET_LOGINS)
  const attack = await underAttack(server)
  const events = (type: string) =>
    sqlBeside(server, 'SELECT count(*) AS n FROM events WHERE type = ?', type)[0]?.n
  const inProcess = await guessInProcess(IN_PROCESS)
  const all = attack.logins.flatMap(({ times }) => times)
  const failed = [quiet, ...attack.logins].flatMap((logins) => logins.failed)
  console.table({
    'keys guessed, over sockets': `${OVER_SOCKETS} in ${attack.keySeconds.toFixed(1)} s: ${show(attack.keys)}`,
    'keys guessed, in process': `${IN_PROCESS}, ${inProcess.perSecond}/s: ${show(inProcess.counts)}`,
    'statements for malformed ones': inProcess.statements.malformed,
    'statements for well-formed ones': inProcess.statements['well-formed'],
    'user codes guessed': `${CODES}: ${show(attack.codes)}`,
    'codes judged (at most 10 an account, 30 an address)': events('wrong_code'),
    'events: guessing, limit_hit': `${events('guessing')}, ${events('limit_hit')}`,
    'a new code meanwhile': `${attack.code.replace('-', '').length} letters`,
    'logins meanwhile': `${attack.logins.reduce((sum, { done }) => sum + done, 0)} in ${attack.seconds.toFixed(1)} s, failed: ${failed.length}`,
  })
  console.table({
    'a request of a login, quiet, ms': { p50: quantile(quiet.times, 0.5), p99: quantile(quiet.times, 0.99) },
    'the same, under attack, ms': { p50: quantile(all, 0.5), p99: quantile(all, 0.99) },
  })
  for (const one of failed.slice(0, 5)) console.error(one)
  const isHeld = Number(events('wrong_code')) <= Math.min(10 * ACCOUNTS, 30 * ADDRESSES)
  const isAlarm = Number(events('guessing')) >= 1 && Number(events('guessing')) <= 1 + attack.seconds / 60
  const isRefused = !attack.keys['200'] && !inProcess.counts['200'] && inProcess.statements.malformed === 0
  process.exitCode = failed.length === 0 && isHeld && isAlarm && isRefused ? 0 : 1
} finally {
  await server.stop()
  server.remove()
  rmSync(folder, { recursive: true })
}
