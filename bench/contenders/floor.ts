/** The hand-written floor. @module */

import { join } from 'node:path'
import process from 'node:process'
import { type Contender, check, readError, readJson } from '../contender.ts'
import { pathOf, startServer } from '../servers.ts'

const RESOURCE_SERVER = 'bench:a-secret-of-the-bench'
const CLIENT = { client_id: 'bench' }

/** The floor as a server. */
export const floor: Contender = {
  name: 'floor',
  stored: { file: 'floor.db', table: 'grants' },
  start: () =>
    startServer('floor', (port, folder) => ({
      command: [process.execPath, pathOf('floor.ts')],
      env: {
        PORT: String(port),
        FLOOR_DATABASE: join(folder, 'floor.db'),
        FLOOR_RESOURCE_SERVER: RESOURCE_SERVER,
      },
    })),
  moves(wire) {
    const basic = { Authorization: `Basic ${btoa(RESOURCE_SERVER)}` }
    const poll = (device_code: string) => wire.form('/token', { ...CLIENT, device_code })
    return {
      async signIn(send, name) {
        const { session } = readJson('sign-in', await send(wire.form('/sign-in', { name })))
        return `session=${session}`
      },
      async authorize(send) {
        const { device_code, user_code } = readJson('authorize', await send(wire.form('/authorize', CLIENT)))
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
      async approve(send, cookies, { userCode: user_code }) {
        const answer = await send(wire.form('/approve', { user_code }, { Cookie: cookies }))
        check(readJson('approve', answer).approved === true, 'approve', answer)
      },
      async collect(send, { deviceCode }) {
        const answer = await send(poll(deviceCode))
        if (answer.status === 400 && readError('collect', answer) === 'authorization_pending') return null
        return String(readJson('collect', answer).access_token)
      },
      async forward(send, token) {
        const answer = await send(wire.get('/authz', { Authorization: `Bearer ${token ?? 'x'.repeat(43)}` }))
        const isRight = token
          ? /\r\nX-Name: /.test(answer.head) && answer.status === 200
          : answer.status === 401
        check(isRight, 'forward', answer)
      },
      async introspect(send, token) {
        const answer = await send(wire.form('/introspect', { token: token ?? 'x'.repeat(43) }, basic))
        check(readJson('introspect', answer).active === (token !== null), 'introspect', answer)
      },
    }
  },
}
