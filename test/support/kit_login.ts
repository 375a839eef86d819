/**
 * A program that signs in by the login kit, on any runtime: `kit_login.ts SERVER VIA`. Says what happens on stdout, a
 * line of JSON each: the prompts, then the login, or the code of its failure.
 *
 * @module
 */

import process from 'node:process'
import { createClient, credentialStore, type LoginError, type SignInOptions } from '../../clients/mod.ts'

const [server = '', via = 'auto', folder] = process.argv.slice(2)
const say = (line: object) => console.log(JSON.stringify(line))
const store = credentialStore({ name: 'mytool', mode: folder ? 'file' : 'ephemeral', directory: folder })
const client = createClient({ server, store, token: null })
try {
  const login = await client.login({
    via: via as NonNullable<SignInOptions['via']>,
    where: { env: { DISPLAY: ':0' }, platform: 'linux', isTerminal: true, isWSL: false },
    browser: true,
    // whoever runs this opens the link, if this program is told that it can
    open: async () => !process.env.NO_BROWSER,
    onPrompt: (prompt) => say({ prompt }),
    onBrowserFailure: () => say({ browser: 'failed' }),
  })
  const answer = await client.fetch(`${server}/secured`)
  say({ login, answer: await answer.text() })
  say({ logout: await client.logout() })
} catch (error) {
  say({ error: (error as LoginError).code ?? String(error) })
}
