/**
 * A command-line app of somebody who has our OpenAPI document and no code of ours: `pairgate.ts` beside it is what a
 * generator made of the document. Signs in by the device flow, by the procedures or by the form endpoints, says who is
 * there, ends the login and looks again. Goes on when it reads a line.
 *
 * @module
 */

import { once } from 'node:events'
import process from 'node:process'
// biome-ignore lint/suspicious/noTsIgnore: it is there only where the test puts this file, and compiles it
// @ts-ignore
import * as api from './pairgate.ts'

const [base = '', door] = process.argv.slice(2)
api.defaults.baseUrl = base
api.defaults.redirect = 'manual'
const client_id = 'pairgate-cli'
const say = (...words: unknown[]) => process.stdout.write(`${words.join(' ')}\n`)

async function signInByProcedures(): Promise<string> {
  const start = await api.deviceAuthorize({ client_id, device_name: 'a generated client' })
  if (start.status !== 200) throw new Error(start.data.error.toString())
  const { device_code, verification_uri_complete } = start.data.result.data
  const poll = async () => {
    const token = await api.deviceToken({ client_id, device_code })
    if (token.status !== 200) throw new Error(`${token.status}`)
    return token.data.result.data
  }
  const early = await poll()
  if (early.status !== 'authorization_pending') throw new Error(early.status)
  say(verification_uri_complete, early.status, early.interval)
  await once(process.stdin, 'data')
  const token = await poll()
  if (token.status !== 'issued') throw new Error(token.status)
  return token.access_token
}

async function signInByForms(): Promise<string> {
  const start = await api.oauthDeviceAuthorize({ client_id, device_name: 'a generated client' })
  if (start.status !== 200) throw new Error(start.data.error)
  const { device_code, verification_uri_complete } = start.data
  const grant_type = 'urn:ietf:params:oauth:grant-type:device_code'
  const poll = () => api.oauthDeviceToken({ grant_type, client_id, device_code })
  const early = await poll()
  if (early.status !== 400 || !('interval' in early.data)) throw new Error(`${early.status}`)
  say(verification_uri_complete, early.data.error, early.data.interval)
  await once(process.stdin, 'data')
  const token = await poll()
  if (token.status !== 200) throw new Error(token.data.error)
  return token.data.access_token
}

const token = await (door === 'forms' ? signInByForms() : signInByProcedures())
const headers = { authorization: `Bearer ${token}` }
const who = await api.sessionWhoami({}, { headers })
if (who.status !== 200) throw new Error(`${who.status}`)
const { subject, kind, credential_name } = who.data.result.data
say(subject, kind, credential_name)
const ended = await api.oauthRevoke({ client_id, token })
const gone = await api.sessionWhoami({}, { headers })
if (gone.status !== 401) throw new Error(`${gone.status}`)
say(ended.status, gone.status, gone.data.error.data.code)
process.stdin.destroy()
