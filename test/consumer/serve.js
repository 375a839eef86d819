// A server on Node as it is, at PORT.
import process from 'node:process'
import { createPairgate } from 'pairgate'
import { serve } from 'pairgate/node'
import { sqlite } from 'pairgate/sqlite'

const port = Number(process.env.PORT)
const gate = createPairgate({
  baseUrl: `http://127.0.0.1:${port}`,
  secrets: [crypto.randomUUID()],
  database: sqlite(':memory:'),
  devSignIn: true,
})
const { close } = await serve(gate, { hostname: '127.0.0.1', port })
console.log('listens')
process.once('SIGTERM', async () => {
  await close()
  await gate.close()
})
