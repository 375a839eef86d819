/**
 * The credential that calls are made with: the one from the environment, or a login that is kept, refreshed a minute
 * before its end. Processes that share a store take turns at that, so that a refresh token is spent once.
 *
 * @module
 */

import { checkOutcome, isToken } from './answers.ts'
import { isPassing, LoginError, toLoginError } from './errors.ts'
import type { PairgateApi } from './generated/contract.ts'
import type { Account, CredentialStore, StoredLogin } from './store.ts'

/** What calls are made with. */
export interface Access {
  readonly access_token: string
  /** The login that it is from; null for a token that was given, as in the environment. */
  readonly login: StoredLogin | null
}

/** What a session needs. */
export interface SessionOptions {
  readonly server: string
  readonly account: Account | undefined
  readonly store: CredentialStore
  /** Stands above all logins; `source` says where it came from. */
  readonly given: { readonly token: string; readonly source: string } | null
  /** Calls without a credential. */
  readonly api: Pick<PairgateApi, 'session'>
  readonly now: () => number
}

/** The credential of one client. */
export interface Session {
  /** Refreshed if it ends within a minute, or is `spent`, the access token that was just refused. */
  access(spent?: string): Promise<Access | null>
  /** Gets a new access token now. */
  refresh(): Promise<StoredLogin>
  /** The login that is kept, as it is. */
  stored(): Promise<StoredLogin | null>
  /** Throws `environment_token` where a given token makes logins pointless. */
  assertStored(): void
}

/** How long before its end an access token is refreshed; seconds. */
const EARLY = 60

const notSignedIn = (server: string) => new LoginError('not_signed_in', `Nobody is signed in at ${server}`)

type Refreshable = StoredLogin & { readonly refresh_token: string }

function isRefreshable(login: StoredLogin): login is Refreshable {
  return login.refresh_token !== null
}

/** Spends the refresh token. Not tried again: if the answer was lost, asking once more would end the login. */
async function exchange({ api, store, now }: SessionOptions, login: Refreshable): Promise<StoredLogin> {
  const { client_id, refresh_token } = login
  const outcome = await api.session.refresh.mutate({ client_id, refresh_token }).catch((error) => {
    throw toLoginError(error)
  })
  const answer = checkOutcome(outcome)
  if (answer.status === 'invalid_grant') {
    await store.remove(login.server, login)
    throw new LoginError('not_signed_in', `The login as ${login.subject} at ${login.server} is over`)
  }
  if (answer.status !== 'issued')
    throw new LoginError('not_pairgate', `The server answers a refresh with "${answer.status}"`)
  const renewed: StoredLogin = {
    ...login,
    access_token: answer.access_token,
    refresh_token: answer.refresh_token ?? refresh_token,
    expires_at: Math.floor(now() / 1000) + answer.expires_in,
    scope: answer.scope ?? '',
  }
  await store.save(renewed)
  return renewed
}

/**
 * Opens the session of a client. Makes no request, and reads nothing yet.
 */
export function createSession(options: SessionOptions): Session {
  const { server, account, store, given, now } = options
  const stored = async () => await store.find(server, account)
  const secondsLeft = (login: StoredLogin) => login.expires_at - now() / 1000

  /** One at a time, on this machine: whoever had to wait finds the work done. */
  const renew = async (before: Refreshable, isDue: (login: StoredLogin) => boolean) =>
    await store.lock(async () => {
      const login = await store.find(server, before)
      if (!login || !isRefreshable(login) || !isDue(login)) return login
      return await exchange(options, login)
    })

  return {
    stored,
    assertStored() {
      if (given)
        throw new LoginError('environment_token', `${given.source} is set and stands above all logins`)
    },
    async access(spent) {
      if (given && !isToken(given.token))
        throw new LoginError('refused', `${given.source} is no token: it has characters that no token has`)
      if (given) return { access_token: given.token, login: null }
      const login = await stored()
      if (!login) return null
      const isDue = (one: StoredLogin) => one.access_token === spent || secondsLeft(one) <= EARLY
      if (!isRefreshable(login) || !isDue(login)) return { access_token: login.access_token, login }
      try {
        const renewed = await renew(login, isDue)
        return renewed && { access_token: renewed.access_token, login: renewed }
      } catch (error) {
        const isGood = login.access_token !== spent && secondsLeft(login) > 0
        if (isGood && isPassing(error)) return { access_token: login.access_token, login }
        throw error
      }
    },
    async refresh() {
      this.assertStored()
      const login = await stored()
      if (!login) throw notSignedIn(server)
      if (!isRefreshable(login)) {
        throw new LoginError('refused', 'This login has no refresh token: it lasts until it expires')
      }
      const renewed = await renew(login, (one) => one.refresh_token === login.refresh_token)
      if (!renewed) throw notSignedIn(server)
      return renewed
    },
  }
}
