/**
 * A program that shares its logins with others: `kit_fetch.ts SERVER FOLDER AHEAD`, the last in seconds. For each line on
 * stdin it makes a call with the login, and says the status and who that was.
 *
 * @module
 */

import process from 'node:process'
import { createInterface } from 'node:readline'
import { createClient, credentialStore, toLoginError } from '../../clients/mod.ts'

const [server = '', directory = '', ahead = '0'] = process.argv.slice(2)
let seconds = Number(ahead)
const client = createClient({
  server,
  clientId: 'mytool',
  store: credentialStore({ name: 'mytool', mode: 'file', directory }),
  token: null,
  now: () => Date.now() + seconds * 1000,
})
console.log('ready')
for await (const line of createInterface({ input: process.stdin })) {
  seconds = Number(line)
  try {
    const response = await client.fetch(`${server}/secured`)
    console.log(`${response.status} ${await response.text()}`)
  } catch (error) {
    console.log(`failed: ${toLoginError(error).code} ${toLoginError(error).message}`)
  }
}
