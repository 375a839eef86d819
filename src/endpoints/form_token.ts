/** Tokens that tie a form to one person, one browser and one purpose. @module */

import type { Params } from '../core/form.ts'
import { requestSite } from '../core/same_origin.ts'
import { getCookie, setCookie } from '../flows/cookies.ts'
import type { Deps } from '../flows/deps.ts'
import { base64url, sign, verifySignature } from '../hash.ts'
import type { UserIdentity } from '../store.ts'
import type { AppContext } from './route.ts'

const FORM_COOKIE_SECONDS = 86_400

/** What a form is for: no two purposes have the same parts. */
export type FormPurpose =
  | readonly ['device' | 'pair', code: string]
  | readonly ['account']
  | readonly ['account', 'create', id: string]

const tokenParts = ({ issuer, subject }: UserIdentity, nonce: string, purpose: FormPurpose) => [
  issuer,
  subject,
  nonce,
  ...purpose,
]

/** Prepares to sign the forms of one page; a browser without a nonce gets one. */
export function formSigner(deps: Deps, c: AppContext, user: UserIdentity): (purpose: FormPurpose) => string {
  const known = getCookie(deps, c.env.caller.request, 'form')
  const nonce = known ?? base64url(deps.random(16))
  if (!known) c.header('Set-Cookie', setCookie(deps, 'form', nonce, FORM_COOKIE_SECONDS), { append: true })
  return (purpose) => sign(deps.config.secrets[0] ?? '', 'form', tokenParts(user, nonce, purpose))
}

/** Tells whether a form came from a page of ours, made for this person, this browser and this purpose. */
export function isOwnForm(
  deps: Deps,
  c: AppContext,
  user: UserIdentity,
  purpose: FormPurpose,
  form: Params,
): boolean {
  const nonce = getCookie(deps, c.env.caller.request, 'form')
  if (!nonce || requestSite(c.req.raw.headers, deps.config.origin) === 'foreign') return false
  const { secrets } = deps.config
  return verifySignature(secrets, 'form', tokenParts(user, nonce, purpose), form.get('form_token') ?? '')
}
