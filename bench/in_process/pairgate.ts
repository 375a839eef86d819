/** pairgate in the process of a gateway. @module */

import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { createSecret } from '../../src/core/secret.ts'
import { BASE, SECRET, type TestBrowser } from '../../test/support/gate.ts'
import {
  call,
  type Flow,
  pageHeaders,
  poll,
  type Send,
  signIn,
  startLogin,
} from '../../test/support/logins.ts'
import { ROOT } from '../../test/support/runtimes.ts'
import { OPTIONS } from '../contenders/pairgate.ts'
import { JOB } from '../figures.ts'
import type { InProcessJobs } from '../in_process.ts'

/** What `npm run build` makes, and people install: compiled on the fly, as this file is, it would be half as fast. */
async function loadBuilt() {
  const load = (name: string): Promise<unknown> => import(join(ROOT, 'dist', name))
  const { createPairgate } = (await load('src/mod.js')) as typeof import('../../src/mod.ts')
  const { sqlite } = (await load('adapters/sqlite.js')) as typeof import('../../adapters/sqlite.ts')
  return { createPairgate, sqlite }
}

const CREDENTIALS = 300
const PEOPLE = 10

/** Opens it, with credentials. */
export async function open(folder: string): Promise<InProcessJobs> {
  const { createPairgate, sqlite } = await loadBuilt()
  const database = sqlite(join(folder, 'pairgate.db'))
  const gate = createPairgate({ ...OPTIONS, baseUrl: BASE, secrets: [SECRET], database, devSignIn: true })
  const info = { remoteAddress: '127.0.0.1' }
  const send: Send = (path, init) =>
    gate.fetch(new Request(new URL(path, BASE), { redirect: 'manual', ...init }), info)
  const people: TestBrowser[] = []
  for (let i = 0; i < PEOPLE; i++) people.push(await signIn(send, BASE, `person ${i} of the bench`))
  const collect = async (flow: Flow, i: number) => {
    const login = await startLogin(send, flow)
    const reference = flow === 'device' ? { user_code: login.code } : { paircode: login.code }
    const person = people[i % PEOPLE]
    if (person) await call(send, `${flow}.approve`, reference, pageHeaders(person, BASE))
    const { status, body } = await poll(send, login)
    if (status !== 'issued') throw new Error(`A login was not issued: ${status}`)
    return String(body.access_token)
  }
  const tokens: Record<Flow, string[]> = { device: [], pair: [] }
  for (let i = 0; i < CREDENTIALS; i++) {
    tokens.device.push(await collect('device', i))
    tokens.pair.push(await collect('pair', i))
  }
  const verify = async (request: Request) => (await gate.authenticate(request, info)) !== null
  const random = (length: number) => new Uint8Array(randomBytes(length))
  const unknown = tokens.device.map(() => createSecret(random, 'pg', 'api_key'))
  // as long as a real one, but its check characters do not fit
  const malformed = unknown.map((token) => token.replace(/.$/, (last) => (last === '0' ? '1' : '0')))
  return {
    [JOB.key]: { tokens: tokens.device, isKnown: true, verify },
    [JOB.session]: { tokens: tokens.pair, isKnown: true, verify },
    [JOB.malformed]: { tokens: malformed, isKnown: false, verify },
    [JOB.unknown]: { tokens: unknown, isKnown: false, verify },
  }
}
