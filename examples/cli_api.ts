/**
 * The same login without the kit: the device flow (RFC 8628) over the generated client alone, which runs wherever there
 * is `fetch`. `npx tsx examples/cli_api.ts`
 *
 * @module
 */

import { createApi } from 'pairgate/api'

const server = process.env.MYTOOL_SERVER ?? 'http://127.0.0.1:8787'
const client_id = 'pairgate-cli'

async function login(): Promise<string> {
  const api = createApi({ server })
  const start = await api.device.authorize.mutate({ client_id })
  console.error(`Open ${start.verification_uri_complete}\nand check that the page shows: ${start.user_code}`)
  for (;;) {
    const answer = await api.device.token.mutate({ client_id, device_code: start.device_code })
    if (answer.status === 'issued') return answer.access_token
    if (!('interval' in answer)) throw new Error(`The login ended: ${answer.status}`)
    await new Promise((resolve) => setTimeout(resolve, answer.interval * 1000))
  }
}

const token = await login()
const { subject } = await createApi({ server, token }).session.whoami.query()
console.log(`Signed in as ${subject}`)
