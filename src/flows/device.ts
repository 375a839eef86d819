/** The device flow (RFC 8628): a device code for the CLI, a user code for the person, an API key in the end. @module */

import type { Refusal, TokenOutcome } from '../core/outcome.ts'
import { createUserCode, formatUserCode, USER_CODE_LENGTH } from '../core/user_code.ts'
import { base64url, sha256Hex } from '../hash.ts'
import { collect } from './collect.ts'
import type { Caller, Deps } from './deps.ts'
import type { Wait } from './held.ts'
import { isAnybodyGuessing } from './limits.ts'
import { purgeSometimes } from './purge.ts'
import { type StartRequest, startGrant } from './start.ts'

/** RFC 8628 section 3.2. Times in seconds. */
export interface DeviceAuthorizationResponse {
  /** What the CLI polls with; nobody else may see it. */
  readonly device_code: string
  /** What the person types, as it is to be shown. */
  readonly user_code: string
  /** Where they type it. */
  readonly verification_uri: string
  /** The same with the code filled in. */
  readonly verification_uri_complete: string
  /** Until when somebody has to have decided. */
  readonly expires_in: number
  /** Least time between two polls. */
  readonly interval: number
}

const DEVICE_CODE = /^[A-Za-z0-9_-]{43}$/

/** Starts a login: the device authorization request (RFC 8628 section 3.1). */
export async function authorizeDevice(
  deps: Deps,
  caller: Caller,
  start: StartRequest,
): Promise<DeviceAuthorizationResponse | Refusal> {
  const { config } = deps
  const length = (await isAnybodyGuessing(deps)) ? USER_CODE_LENGTH.underAttack : USER_CODE_LENGTH.ordinary
  let deviceCode = ''
  const make = () => {
    deviceCode = base64url(deps.random(32))
    return {
      flow: 'device' as const,
      secret_hash: sha256Hex(deviceCode),
      user_code: createUserCode(deps.random, length),
      match_code: null,
      loopback_port: null,
      loopback_state: null,
      poll_interval: config.pollSeconds,
      seconds: config.deviceCodeSeconds,
    }
  }
  const grant = await startGrant(deps, caller, { ...start, flow: 'device' }, make, 5)
  // also when all are refused: counters are written even then
  purgeSometimes(deps)
  if ('status' in grant) return grant
  const userCode = formatUserCode(grant.user_code ?? '')
  return {
    device_code: deviceCode,
    user_code: userCode,
    verification_uri: `${config.baseUrl}/device`,
    verification_uri_complete: `${config.baseUrl}/device?user_code=${userCode}`,
    expires_in: config.deviceCodeSeconds,
    interval: config.pollSeconds,
  }
}

/** Answers a poll with a device code: the device access token request (RFC 8628 section 3.4). */
export async function redeemDeviceCode(
  deps: Deps,
  caller: Caller,
  poll: { client_id: string; device_code: string; wait?: Wait | undefined },
): Promise<TokenOutcome | Refusal> {
  if (!DEVICE_CODE.test(poll.device_code)) return { status: 'invalid_grant' }
  const { client_id, device_code: secret, wait } = poll
  return await collect(deps, caller, { flow: 'device', client_id, secret, wait })
}
