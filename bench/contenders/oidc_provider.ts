/** oidc-provider, whose device codes end in an access token. @module */

import { join } from 'node:path'
import process from 'node:process'
import { type Contender, check, readCookies, readError, readJson } from '../contender.ts'
import type { Answer, Fields } from '../driver.ts'
import { pathOf, startServer } from '../servers.ts'

const CLIENT = { client_id: 'bench' }
const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code'

/** The hidden fields of a page. */
function hiddenFields({ body }: Answer): Fields {
  const inputs = [...body.matchAll(/<input type="hidden" name="(\w+)" value="([^"]*)"/g)]
  return Object.fromEntries(inputs.map(([, name = '', value = '']) => [name, value]))
}

/** oidc-provider as a server. It never says `slow_down`. */
export const oidcProvider: Contender = {
  name: 'oidc-provider',
  needs: 'oidc-provider@9.13.3',
  stored: { file: 'oidc-provider.db', table: 'models' },
  start: () =>
    startServer('oidc-provider', (port, folder) => ({
      command: [process.execPath, pathOf('contenders/oidc_provider_server.ts')],
      env: { PORT: String(port), BENCH_DATABASE: join(folder, 'oidc-provider.db') },
    })),
  moves(wire) {
    const basic = { Authorization: `Basic ${btoa('bench-api:a-secret-of-the-bench')}` }
    const poll = (device_code: string) =>
      wire.form('/token', { grant_type: DEVICE_GRANT, ...CLIENT, device_code })
    return {
      async signIn(send) {
        const answer = await send(wire.get('/sign-in'))
        check(answer.status === 200, 'sign-in', answer)
        return readCookies(answer)
      },
      async authorize(send) {
        const answer = await send(wire.form('/device/auth', { ...CLIENT, scope: 'api' }))
        const { device_code, user_code } = readJson('authorize', answer)
        return { deviceCode: String(device_code), userCode: String(user_code) }
      },
      async pollPending(send, { deviceCode }) {
        const answer = await send(poll(deviceCode))
        check(readError('poll', answer) === 'authorization_pending', 'poll', answer)
      },
      /** The page with the code has what its form must send along. */
      async approve(send, Cookie, { userCode }) {
        const page = await send(wire.get(`/device?user_code=${userCode}`, { Cookie }))
        check(page.status === 200, 'review', page)
        const form = { ...hiddenFields(page), confirm: 'yes' }
        const answer = await send(wire.form('/device', form, { Cookie }))
        check(answer.status === 200 && /Success/.test(answer.body), 'approve', answer)
      },
      async collect(send, { deviceCode }) {
        const answer = await send(poll(deviceCode))
        if (answer.status === 400 && readError('collect', answer) === 'authorization_pending') return null
        return String(readJson('collect', answer).access_token)
      },
      async introspect(send, token) {
        const answer = await send(
          wire.form('/token/introspection', { token: token ?? 'x'.repeat(43) }, basic),
        )
        check(readJson('introspect', answer).active === (token !== null), 'introspect', answer)
      },
    }
  },
}
