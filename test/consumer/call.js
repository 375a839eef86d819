// Calls a server by both clients, on whatever runtime this is started with. Arguments: its base URL, and a token.
import process from 'node:process'
import { createApi } from 'pairgate/api'
import { createClient } from 'pairgate/client'

const [server = '', token = ''] = process.argv.slice(2)
const clients = [createApi({ server, token }), createClient({ server, token }).api]
const answers = await Promise.all(clients.map((api) => api.session.whoami.query()))
console.log(JSON.stringify(answers.map(({ subject }) => subject)))
