/** A command-line app as TypeScript sees it: what is right compiles, and what is wrong does not. @module */

import { createApi, type PairgateApi } from 'pairgate/api'
import { createClient, LoginError } from 'pairgate/client'

const client = createClient({ server: 'https://gateway.example/auth', clientId: 'mytool' })

/** Signs in and calls. */
export async function use(signal: AbortSignal): Promise<string> {
  const { subject, place } = await client.login({
    via: 'device',
    signal,
    onPrompt: ({ url, code, expires_in }) => void `${url} ${code} ${expires_in.toFixed()}`,
  })
  const who = await client.api.session.whoami.query()
  const answer: Response = await client.fetch('/api/hello')
  // @ts-expect-error there is no such procedure
  await client.api.session.whoIsIt.query()
  // @ts-expect-error this one is a query
  await client.api.session.whoami.mutate()
  // @ts-expect-error its answer has no such field
  void who.username
  // @ts-expect-error there is no such transport
  await client.login({ via: 'fax', onPrompt() {} })
  return `${subject} ${place} ${who.subject} ${answer.status}`
}

/** The typed calls alone. */
export async function call(api: PairgateApi = createApi({ server: 'https://gateway.example/auth' })) {
  const start = await api.device.authorize.mutate({ client_id: 'mytool' })
  const outcome = await api.device.token.mutate({ client_id: 'mytool', device_code: start.device_code })
  // @ts-expect-error client_id is needed
  await api.device.authorize.mutate({})
  // @ts-expect-error there is no such field
  await api.device.authorize.mutate({ client_id: 'mytool', deviceName: 'laptop' })
  // @ts-expect-error only an issued one has a token
  void outcome.access_token
  return outcome.status === 'issued' ? outcome.access_token : null
}

/** Why a login failed is one of a few words. */
export function explain(error: unknown): string {
  if (!(error instanceof LoginError)) return 'unknown'
  // @ts-expect-error no such code
  if (error.code === 'access_refused') return 'never'
  return error.code === 'access_denied' ? 'denied' : error.message
}
