/**
 * `pairgate kubectl-credential`: kubectl gets the access token as a Bearer credential (client-go credential plugins).
 *
 * @module
 */

import { LoginError } from '../errors.ts'
import { type Context, EXIT, type Result } from './context.ts'

const GROUP = 'client.authentication.k8s.io'

/** The versions that are known here, the usual one first. */
const VERSIONS = [`${GROUP}/v1`, `${GROUP}/v1beta1`]

/** kubectl asks again when this has passed; a call that is on its way then still arrives in time. Seconds. */
const EARLY = 60

/** The version that the answer must be in: that of the question, which older ones do not ask. */
function readVersion(info: string | undefined): string {
  if (!info) return String(VERSIONS[0])
  let version: unknown
  try {
    version = (JSON.parse(info) as { apiVersion?: unknown }).apiVersion
  } catch {
    throw new LoginError('refused', 'KUBERNETES_EXEC_INFO is not JSON: this is for kubectl to call')
  }
  if (typeof version === 'string' && VERSIONS.includes(version)) return version
  throw new LoginError(
    'refused',
    `kubectl wants the version ${String(version)}; known are ${VERSIONS.join(', ')}`,
  )
}

/** `kubectl-credential`. Never asks anything of the person: rejects with `not_signed_in` when nobody is. */
export async function runKubectlCredential({ client, server, where }: Context): Promise<Result> {
  const apiVersion = readVersion(where.env.KUBERNETES_EXEC_INFO)
  const access = await client.access()
  if (!access) throw new LoginError('not_signed_in', `Nobody is signed in at ${server}`)
  const { login, access_token: token } = access
  const seconds = login && login.expires_at - EARLY
  const expirationTimestamp = seconds && new Date(seconds * 1000).toISOString().replace('.000Z', 'Z')
  const status = { ...(expirationTimestamp && { expirationTimestamp }), token }
  const json = { apiVersion, kind: 'ExecCredential', status }
  return { exit: EXIT.ok, json, lines: [JSON.stringify(json)] }
}
