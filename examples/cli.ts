/** A command-line app with a login, in fifteen lines: `npx tsx examples/cli.ts login`, then `whoami` and `logout`. @module */

import { createClient, type LoginPrompt } from 'pairgate/client'

const server = process.env.MYTOOL_SERVER ?? 'http://127.0.0.1:8787'
const client = createClient({ server, clientId: 'pairgate-cli', name: 'mytool' })
const onPrompt = ({ url, code }: LoginPrompt) => console.error(`Open ${url}\nIt must show: ${code}`)

const commands: Record<string, () => Promise<string>> = {
  login: async () => `Signed in as ${(await client.login({ onPrompt })).subject}`,
  whoami: async () => (await client.api.session.whoami.query()).subject,
  logout: async () => ((await client.logout()) ? 'Signed out' : 'Nobody was signed in'),
}
try {
  console.log((await commands[process.argv[2] ?? '']?.()) ?? 'Try login, whoami or logout')
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
