/**
 * A program that signs in by the login kit, on any runtime: `kit_login.ts SERVER VIA [FOLDER]`. Says what happens on
 * stdout, a line of JSON each: the prompts, then the login, or the code of its failure. With a folder the login is kept
 * there, until it is run again with `logout` for VIA; without one it ends at once.
 *
 * @module
 */

import process from 'node:process'
import { createClient, credentialStore, type LoginError, type Transport } from '../../clients/mod.ts'

const [server = '', via = 'auto', directory] = process.argv.slice(2)
const say = (line: object) => console.log(JSON.stringify(line))
const mode = directory ? 'file' : 'ephemeral'
const store = credentialStore({ name: 'mytool', mode, ...(directory && { directory }) })
const client = createClient({ server, clientId: directory ? 'mytool' : 'pairgate-cli', store, token: null })

async function login(): Promise<void> {
  const login = await client.login({
    via: via as 'auto' | Transport,
    where: { env: { DISPLAY: ':0' }, platform: 'linux', isTerminal: true, isWSL: false },
    browser: true,
    // whoever runs this opens the link, if this program is told that it can
    open: async () => !process.env.NO_BROWSER,
    onPrompt: (prompt) => say({ prompt }),
    onBrowserFailure: () => say({ browser: 'failed' }),
  })
  const { subject } = await client.api.session.whoami.query()
  const answer = await client.fetch(`${server}/secured`)
  say({ login, subject, answer: await answer.text() })
}

try {
  if (via !== 'logout') await login()
  if (via === 'logout' || !directory) say({ logout: await client.logout() })
} catch (error) {
  say({ error: (error as LoginError).code ?? String(error) })
}
