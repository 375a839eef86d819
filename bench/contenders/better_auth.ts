/** better-auth, whose device codes end in a session. @module */

import { join } from 'node:path'
import process from 'node:process'
import { type Contender, check, readCookies, readError, readJson } from '../contender.ts'
import { pathOf, startServer } from '../servers.ts'

const CLIENT = { client_id: 'bench' }
const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code'
let port = 0

/** better-auth as a server. It has no introspection: its session endpoint stands for what a proxy would ask. */
export const betterAuth: Contender = {
  name: 'better-auth',
  needs: 'better-auth@1.7.5',
  stored: { file: 'better-auth.db', table: 'deviceCode' },
  start: () =>
    startServer('better-auth', (free, folder) => {
      port = free
      return {
        command: [process.execPath, pathOf('contenders/better_auth_server.ts')],
        env: { PORT: String(free), BENCH_DATABASE: join(folder, 'better-auth.db') },
      }
    }),
  moves(wire) {
    const browser = { Origin: `http://127.0.0.1:${port}` }
    const poll = (device_code: string) =>
      wire.json('/api/auth/device/token', { grant_type: DEVICE_GRANT, ...CLIENT, device_code })
    return {
      async signIn(send, name) {
        const email = `${name.replaceAll(' ', '.')}@example.com`
        const body = { name, email, password: 'a-password-of-the-bench' }
        const answer = await send(wire.json('/api/auth/sign-up/email', body, browser))
        check(answer.status === 200, 'sign-up', answer)
        return readCookies(answer)
      },
      async authorize(send) {
        const answer = await send(wire.json('/api/auth/device/code', CLIENT))
        const { device_code, user_code } = readJson('authorize', answer)
        return { deviceCode: String(device_code), userCode: String(user_code) }
      },
      async pollPending(send, { deviceCode }) {
        const answer = await send(poll(deviceCode))
        check(readError('poll', answer) === 'authorization_pending', 'poll', answer)
      },
      async pollSlowDown(send, { deviceCode }) {
        const answer = await send(poll(deviceCode))
        check(readError('poll', answer) === 'slow_down', 'poll', answer)
      },
      /** Whoever opens the page claims the code; without that nobody may approve it. */
      async approve(send, Cookie, { userCode }) {
        const opened = await send(wire.get(`/api/auth/device?user_code=${userCode}`, { Cookie }))
        check(readJson('review', opened).status === 'pending', 'review', opened)
        const answer = await send(wire.json('/api/auth/device/approve', { userCode }, { ...browser, Cookie }))
        check(readJson('approve', answer).success === true, 'approve', answer)
      },
      async collect(send, { deviceCode }) {
        const answer = await send(poll(deviceCode))
        if (answer.status === 400 && readError('collect', answer) === 'authorization_pending') return null
        return String(readJson('collect', answer).access_token)
      },
      async forward(send, token) {
        const answer = await send(
          wire.get('/api/auth/get-session', { Authorization: `Bearer ${token ?? 'x'.repeat(32)}` }),
        )
        check(answer.status === 200 && /"user"/.test(answer.body) === (token !== null), 'session', answer)
      },
    }
  },
}
