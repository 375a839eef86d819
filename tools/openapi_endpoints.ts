/** The operations that are no procedures: the form endpoints of OAuth and of paircodes, and what tells of the server. @module */

import { type Contract, fieldsOf, type Model, proceduresOf } from './contract_types.ts'
import { type JsonSchema, objectSchema, refTo, type Schemas } from './json_schema.ts'
import type { InputSchemas } from './openapi_procedures.ts'
import { jsonResponse, oauthError, POLL_ERROR, shared, TEXT } from './openapi_responses.ts'
import type { Document, Operation, Response } from './openapi_types.ts'

const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code'
const FORM = 'application/x-www-form-urlencoded'

/** A text answer. */
const textResponse = (status: number, description: string): Response => {
  const { headers } = jsonResponse(status, description, TEXT)
  return { description, ...(headers && { headers }), content: { 'text/plain': { schema: TEXT } } }
}

/** What any endpoint answers that is asked by the right host only, and reads the database. */
const ANYWHERE = { 421: shared('WrongHost'), 500: shared('Broken'), 503: shared('Away') }
const FORM_ANYWHERE = { 401: shared('Basic'), 413: shared('TooLong'), ...ANYWHERE }
const START = {
  403: jsonResponse(403, 'Logins may not start from this network.', oauthError('access_denied')),
  429: shared('Limited'),
}

/** How long a poll would wait. */
const PREFER = {
  name: 'Prefer',
  in: 'header',
  description:
    'With `wait=N` (RFC 7240 section 4.3) the answer is held back until somebody decides, N seconds at most, and 30.',
  schema: TEXT,
  example: 'wait=30',
}

class Endpoints {
  readonly #contract: Contract
  readonly #schemas: Schemas
  readonly #inputs: InputSchemas

  constructor(contract: Contract, schemas: Schemas, inputs: InputSchemas) {
    this.#contract = contract
    this.#schemas = schemas
    this.#inputs = inputs
  }

  /** The form that says what the input of a procedure says. Others of its parameters are ignored, so it is open. */
  form(path: string, more: Readonly<Record<string, JsonSchema>> = {}): JsonSchema {
    const found = proceduresOf(this.#contract).find((one) => one.path === path)
    const schema = this.#inputs.get(path)
    if (!found || !schema) throw new Error(`There is no procedure ${path}`)
    const { $ref, ...told } = this.#schemas.ofInput(found.input, schema)
    const input = this.#schemas.components.get($ref?.split('/').at(-1) ?? '') ?? told
    const { additionalProperties: _, description: _words, required = [], properties: all = {} } = input
    // what a form endpoint is told by the header
    const { wait: _wait, ...properties } = all
    return {
      type: 'object',
      required: [...Object.keys(more), ...required],
      properties: { ...more, ...properties },
    }
  }

  /** What a token endpoint answers: the outcome without its status, which HTTP says. */
  token(): JsonSchema {
    const type: Model = { kind: 'name', name: 'TokenResponse' }
    const { status: _, ...properties } = this.#schemas.properties(type)
    const optional = fieldsOf(this.#contract, type).filter(({ isOptional }) => isOptional)
    const schema = objectSchema(
      properties,
      optional.map(({ name }) => name),
    )
    return this.#schemas.add('AccessToken', { ...schema, description: 'RFC 6749 section 5.1.' })
  }

  named(name: string): JsonSchema {
    return this.#schemas.ofType({ kind: 'name', name })
  }

  /** The operations for the token endpoints of the device flow and of refreshing. */
  tokenEndpoint(operationId: string, summary: string): Operation {
    const device = this.form('device.token', { grant_type: { type: 'string', const: DEVICE_GRANT } })
    const refresh = this.form('session.refresh', { grant_type: { type: 'string', const: 'refresh_token' } })
    const errors = oauthError(
      'access_denied',
      'expired_token',
      'invalid_grant',
      'invalid_request',
      'invalid_client',
      'invalid_scope',
      'unauthorized_client',
      'unsupported_grant_type',
    )
    const schema: JsonSchema = {
      oneOf: [this.#schemas.add('DeviceGrant', device), this.#schemas.add('RefreshGrant', refresh)],
      discriminator: {
        propertyName: 'grant_type',
        mapping: {
          [DEVICE_GRANT]: '#/components/schemas/DeviceGrant',
          refresh_token: '#/components/schemas/RefreshGrant',
        },
      },
    }
    const operation = post(operationId, 'oauth', summary, schema, {
      200: jsonResponse(200, 'The credential, this once.', this.token()),
      400: jsonResponse(400, 'Not yet, or not at all (RFC 6749 section 5.2, RFC 8628 section 3.5).', {
        oneOf: [this.#pending(), this.#schemas.add('TokenEndpointError', errors)],
      }),
      ...FORM_ANYWHERE,
    })
    return { ...operation, parameters: [PREFER] }
  }

  #pending(): JsonSchema {
    return this.#schemas.add('PollError', POLL_ERROR)
  }

  deviceAuthorize(): Operation {
    return post(
      'oauthDeviceAuthorize',
      'oauth',
      'Starts a login by code (RFC 8628 section 3.1).',
      this.form('device.authorize'),
      {
        200: jsonResponse(200, 'The codes.', this.named('DeviceAuthorizationResponse')),
        400: jsonResponse(400, 'It may not be started.', this.#startError()),
        ...START,
        ...FORM_ANYWHERE,
      },
    )
  }

  #startError(): JsonSchema {
    return this.#schemas.add(
      'StartError',
      oauthError('invalid_request', 'invalid_client', 'invalid_scope', 'unauthorized_client'),
    )
  }

  cliLogin(): Operation {
    return post('cliLogin', 'paircode', 'Starts a login by link.', this.form('pair.start'), {
      200: jsonResponse(
        200,
        'The link, and the match code to show beside it.',
        this.named('PairStartResponse'),
      ),
      400: jsonResponse(400, 'It may not be started.', this.#startError()),
      409: jsonResponse(409, 'The paircode is known already.', refTo('InvalidRequest')),
      ...START,
      ...FORM_ANYWHERE,
    })
  }

  cliToken(): Operation {
    const errors = oauthError(
      'access_denied',
      'expired_token',
      'invalid_grant',
      'invalid_request',
      'invalid_client',
      'unauthorized_client',
    )
    const form = this.form('pair.token')
    const operation = post('cliToken', 'paircode', 'Collects the session of a login by link.', form, {
      200: jsonResponse(200, 'The credential, this once.', this.token()),
      400: jsonResponse(400, 'Not yet, or not at all.', {
        oneOf: [this.#pending(), this.#schemas.add('PairTokenError', errors)],
      }),
      ...FORM_ANYWHERE,
    })
    return { ...operation, parameters: [PREFER] }
  }

  revoke(): Operation {
    const token: JsonSchema = {
      ...TEXT,
      description: 'An access token or a refresh token: either ends the whole login.',
    }
    return post(
      'oauthRevoke',
      'oauth',
      'Ends a login (RFC 7009).',
      objectSchema({ client_id: TEXT, token }),
      {
        200: { description: 'It is over, or was never good.' },
        400: jsonResponse(400, 'Nothing was ended.', oauthError('invalid_request', 'invalid_client')),
        ...FORM_ANYWHERE,
      },
    )
  }

  introspect(): Operation {
    const form = objectSchema({ token: TEXT, client_id: TEXT, client_secret: TEXT }, [
      'client_id',
      'client_secret',
    ])
    const summary = 'Tells a resource server what a token is good for (RFC 7662).'
    return {
      ...post('oauthIntrospect', 'oauth', summary, form, {
        200: jsonResponse(200, 'What it is good for, or that it is not.', {
          oneOf: [this.named('ActiveToken'), this.named('InactiveToken')],
        }),
        400: jsonResponse(400, 'The token is missing.', refTo('InvalidRequest')),
        401: jsonResponse(401, 'Only resource servers may ask, with their secret.', refTo('InvalidClient')),
        413: shared('TooLong'),
        500: shared('Broken'),
        503: shared('Away'),
      }),
      description:
        'There only when the server has resource servers. Id and secret may be in the form instead.',
      security: [{ resourceServer: [] }, {}],
    }
  }

  secured(): Operation {
    const {
      issuer = {},
      subject = {},
      name = {},
      email = {},
    } = this.#schemas.properties({ kind: 'name', name: 'Whoami' })
    const viewer = this.#schemas.add('Viewer', {
      ...objectSchema({ issuer, subject, name, email }),
      description: 'Who is at the browser.',
    })
    const json = { schema: { anyOf: [this.named('Whoami'), viewer] } }
    return {
      ...get('secured', 'Tells who one is: a page for trying a login.', {
        200: {
          description: 'In words, or with `Accept: application/json` as JSON.',
          content: { 'application/json': json, 'text/plain': { schema: TEXT } },
        },
        401: textResponse(401, 'Nobody is signed in.'),
        ...ANYWHERE,
      }),
      security: [{ bearer: [] }, { browser: [] }],
    }
  }
}

function post(
  operationId: string,
  tag: string,
  summary: string,
  schema: JsonSchema,
  responses: Operation['responses'],
): Operation {
  const requestBody = { required: true, content: { [FORM]: { schema } } }
  return { operationId, tags: [tag], summary, security: [], requestBody, responses }
}

function get(operationId: string, summary: string, responses: Operation['responses']): Operation {
  return { operationId, tags: ['service'], summary, security: [], responses }
}

const LIST: JsonSchema = { type: 'array', items: TEXT }

/** RFC 8414 section 2. */
const METADATA = objectSchema(
  {
    issuer: TEXT,
    token_endpoint: TEXT,
    device_authorization_endpoint: TEXT,
    jwks_uri: TEXT,
    revocation_endpoint: TEXT,
    introspection_endpoint: TEXT,
    introspection_endpoint_auth_methods_supported: LIST,
    grant_types_supported: LIST,
    response_types_supported: LIST,
    token_endpoint_auth_methods_supported: LIST,
    revocation_endpoint_auth_methods_supported: LIST,
    scopes_supported: LIST,
  },
  [
    'device_authorization_endpoint',
    'introspection_endpoint',
    'introspection_endpoint_auth_methods_supported',
    'scopes_supported',
  ],
)

/** RFC 7517 section 5, RFC 7518 section 6.2. */
const KEY_SET = objectSchema({
  keys: {
    type: 'array',
    items: objectSchema({ kty: TEXT, crv: TEXT, x: TEXT, y: TEXT, kid: TEXT, alg: TEXT, use: TEXT }),
  },
})

/** Every operation that is no procedure, as a path. */
export function endpointPaths(contract: Contract, schemas: Schemas, inputs: InputSchemas): Document['paths'] {
  const all = new Endpoints(contract, schemas, inputs)
  const token = 'Collects an API key, or goes on with a login (RFC 8628 section 3.4, RFC 6749 section 6).'
  const broken = { 500: shared('Broken'), 503: shared('Away') }
  return {
    '/oauth/device/authorize': { post: all.deviceAuthorize() },
    '/oauth/token': { post: all.tokenEndpoint('oauthToken', token) },
    '/oauth/device/token': {
      post: all.tokenEndpoint('oauthDeviceToken', `${token} The same as /oauth/token.`),
    },
    '/oauth/revoke': { post: all.revoke() },
    '/oauth/introspect': { post: all.introspect() },
    '/cli_login': { post: all.cliLogin() },
    '/token': { post: all.cliToken() },
    '/secured': { get: all.secured() },
    '/.well-known/oauth-authorization-server': {
      get: get('serverMetadata', 'Tells OAuth clients of the server (RFC 8414).', {
        200: jsonResponse(200, 'The metadata.', METADATA),
        ...ANYWHERE,
      }),
    },
    '/.well-known/jwks.json': {
      get: get('keySet', 'The keys that verify assertions (RFC 7517).', {
        200: jsonResponse(200, 'The key set.', KEY_SET),
      }),
    },
    '/healthz': {
      get: get('healthz', 'Whether the process answers.', { 200: textResponse(200, 'It does.') }),
    },
    '/readyz': {
      get: get('readyz', 'Whether the database answers too.', {
        200: textResponse(200, 'It does.'),
        ...broken,
      }),
    },
  }
}
