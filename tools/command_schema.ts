/**
 * What `pairgate` prints with `--json`: docs/command.schema.json is made of this, and the tests hold every output against
 * it. Times are in epoch seconds.
 *
 * @module
 */

import { toJsonSchema } from '@valibot/to-json-schema'
import * as v from 'valibot'

const seconds = v.pipe(v.number(), v.integer(), v.minValue(0))
const nullable = v.nullable(v.string())
const credentialKind = v.picklist(['browser', 'session', 'api_key'])

/** A login that is kept, without its secrets. */
const entry = {
  server: v.pipe(v.string(), v.url()),
  issuer: v.string(),
  subject: v.string(),
  client_id: v.string(),
  name: nullable,
  kind: v.picklist(['session', 'api_key']),
  scope: v.string(),
  expires_at: seconds,
}

const next = v.array(v.strictObject({ command: v.string(), when: v.string() }))

const reason = v.strictObject({ code: v.string(), message: v.string() })

/** The codes of failures: those of the kit, and three of the command's own. */
const codes = [
  'access_denied',
  'expired_token',
  'invalid_grant',
  'not_signed_in',
  'wrong_account',
  'environment_token',
  'refused',
  'busy',
  'unreachable',
  'not_pairgate',
  'untrusted_url',
  'bad_server',
  'bad_credential_file',
  'usage',
  'cancelled',
  'failure',
] as const

const status = {
  status: v.literal('signed_in'),
  server: entry.server,
  issuer: v.string(),
  subject: v.string(),
  name: nullable,
  email: nullable,
  kind: credentialKind,
  client_id: nullable,
  credential_name: v.string(),
  scope: v.string(),
  tenant: nullable,
  expires_at: seconds,
  refreshable: v.boolean(),
  source: v.picklist(['login', 'PAIRGATE_TOKEN']),
  place: nullable,
  token: v.string(),
}

const credential = v.strictObject({
  id: v.string(),
  kind: credentialKind,
  name: v.string(),
  hint: v.string(),
  scope: v.string(),
  tenant: nullable,
  client_id: nullable,
  created_at: seconds,
  remote_address: nullable,
  approved_address: nullable,
  last_used_at: v.nullable(seconds),
  last_used_address: nullable,
  expires_at: seconds,
  previous_until: v.nullable(seconds),
  status: v.picklist(['active', 'expired', 'revoked']),
  current: v.boolean(),
  can_rotate: v.boolean(),
})

const keySecret = v.strictObject({ id: v.string(), secret: v.string(), expires_at: seconds })

const revoked = v.union([
  v.strictObject({ revoked: v.array(v.string()) }),
  v.strictObject({ count: v.pipe(v.number(), v.integer()) }),
])

/** Every output, by name. */
export const SHAPES = {
  login: v.strictObject({
    status: v.literal('signed_in'),
    ...entry,
    refreshable: v.boolean(),
    place: nullable,
    notice: nullable,
    replaced: v.nullable(v.picklist(['revoked', 'not_revoked'])),
    access_token: v.optional(v.string()),
    token_type: v.optional(v.literal('Bearer')),
  }),
  login_started: v.strictObject({
    status: v.literal('authorization_pending'),
    server: entry.server,
    verification_uri: v.pipe(v.string(), v.url()),
    verification_uri_complete: v.pipe(v.string(), v.url()),
    user_code: v.string(),
    expires_in: seconds,
    message: v.string(),
    next,
  }),
  logout: v.strictObject({
    status: v.literal('signed_out'),
    logins: v.array(v.strictObject({ ...entry, revoked: v.boolean(), error: v.nullable(reason) })),
  }),
  status: v.strictObject(status),
  status_all: v.strictObject({
    logins: v.array(
      v.union([
        v.strictObject({ ...status, active: v.boolean(), error: v.null() }),
        v.strictObject({
          ...entry,
          status: v.picklist(['ended', 'unknown']),
          active: v.boolean(),
          place: v.string(),
          error: reason,
        }),
      ]),
    ),
  }),
  token: v.strictObject({
    access_token: v.string(),
    token_type: v.literal('Bearer'),
    expires_at: v.nullable(seconds),
  }),
  refresh: v.strictObject({ status: v.literal('refreshed'), ...entry }),
  switch: v.strictObject({
    status: v.literal('switched'),
    ...entry,
    place: v.string(),
    directory: nullable,
  }),
  keys_list: v.strictObject({ keys: v.array(credential) }),
  keys_create: keySecret,
  keys_rotate: keySecret,
  keys_revoke: revoked,
  sessions_list: v.strictObject({ sessions: v.array(credential) }),
  sessions_revoke: revoked,
  kubectl_credential: v.strictObject({
    apiVersion: v.string(),
    kind: v.literal('ExecCredential'),
    status: v.strictObject({ token: v.string(), expirationTimestamp: v.optional(v.string()) }),
  }),
  failure: v.strictObject({
    error: v.strictObject({
      code: v.picklist(codes),
      message: v.string(),
      hint: v.optional(v.string()),
      next: v.optional(next),
    }),
  }),
} as const

/** The JSON Schema of all outputs, each by its name under `$defs`. */
export function generateCommandSchema(): Record<string, string> {
  const schemas = Object.entries(SHAPES).map(([name, shape]) => {
    const { $schema: _, ...schema } = toJsonSchema(shape)
    return [name, schema]
  })
  const schema = {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'What pairgate prints with --json',
    description: 'Made by "npm run generate". Times are in epoch seconds, expires_in in seconds.',
    $defs: Object.fromEntries(schemas),
  }
  // fields may be added
  const open = (key: string, value: unknown) => (key === 'additionalProperties' ? undefined : value)
  return { 'docs/command.schema.json': `${JSON.stringify(schema, open, 2)}\n` }
}
