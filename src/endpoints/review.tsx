/** @jsxRuntime automatic */
/** @jsxImportSource hono/jsx */

/** The endpoints of the review page: shown on GET, decided on POST. @module */

import type { Params } from '../core/form.ts'
import type { DecideOutcome, Refusal } from '../core/outcome.ts'
import { requestSite, safeReturnPath } from '../core/same_origin.ts'
import { decideGrant, type GrantReference, reviewGrant } from '../flows/approval.ts'
import { findViewer } from '../flows/browser.ts'
import { getCookie, setCookie } from '../flows/cookies.ts'
import type { Deps } from '../flows/deps.ts'
import { base64url, sign, verifySignature } from '../hash.ts'
import { EnterCodePage } from '../pages/enter_code.tsx'
import { MESSAGES, type Message } from '../pages/message.tsx'
import { ReviewPage } from '../pages/review.tsx'
import type { User } from '../store.ts'
import { pageContext, sendToSignIn, showMessage } from './page.tsx'
import { type AppContext, type Handler, readForm, readQuery } from './route.ts'

const FORM_COOKIE_SECONDS = 86_400

/** What a form token is good for: this person, this browser, this request. */
function tokenParts(user: User, nonce: string, reference: GrantReference): string[] {
  return [user.issuer, user.subject, nonce, reference.flow, codeIn(reference)]
}

function codeIn(reference: GrantReference): string {
  return reference.flow === 'device' ? reference.user_code : reference.paircode
}

function formToken(deps: Deps, c: AppContext, user: User, reference: GrantReference): string {
  const known = getCookie(deps, c.env.caller.request, 'form')
  const nonce = known ?? base64url(deps.random(16))
  if (!known) c.header('Set-Cookie', setCookie(deps, 'form', nonce, FORM_COOKIE_SECONDS), { append: true })
  return sign(deps.config.secrets[0] ?? '', 'form', tokenParts(user, nonce, reference))
}

function isOwnForm(deps: Deps, c: AppContext, user: User, reference: GrantReference, form: Params): boolean {
  const nonce = getCookie(deps, c.env.caller.request, 'form')
  if (!nonce || requestSite(c.req.raw.headers, deps.config.origin) === 'foreign') return false
  return verifySignature(
    deps.config.secrets,
    'form',
    tokenParts(user, nonce, reference),
    form.get('form_token') ?? '',
  )
}

async function showReview(deps: Deps, c: AppContext, user: User, reference: GrantReference, error?: string) {
  const review = await reviewGrant(deps, c.env.caller, user, reference)
  if (review.status !== 'pending') return await showOutcome(deps, c, user, review, reference.flow)
  const { basePath, scopes } = deps.config
  const props = {
    page: pageContext(deps, user),
    scopes: review.scope ? review.scope.split(' ').map((scope) => scopes[scope] ?? scope) : [],
    now: deps.now(),
    action: reference.flow === 'device' ? `${basePath}/device` : `${basePath}/pair/${reference.paircode}`,
    hidden: {
      form_token: formToken(deps, c, user, reference),
      ...(reference.flow === 'device' && { user_code: reference.user_code }),
    },
  }
  return c.html(<ReviewPage {...props} user={user} review={review} error={error} />, error ? 400 : 200)
}

type PageOutcome = Exclude<DecideOutcome, { status: 'wrong_code' }> | Refusal

/** The page for each outcome: the one place where it is chosen. */
function outcomeMessage(outcome: PageOutcome): Message {
  switch (outcome.status) {
    case 'approved':
    case 'denied':
    case 'not_found':
    case 'expired':
    case 'user_disabled':
      return MESSAGES[outcome.status]
    case 'already_decided':
      return outcome.your_decision ? MESSAGES[`already_${outcome.your_decision}`] : MESSAGES.already_decided
    case 'rate_limited':
    case 'overloaded':
      return MESSAGES.rate_limited
    case 'not_signed_in':
      return MESSAGES.sign_in_first
    case 'invalid_request':
    case 'invalid_client':
    case 'unauthorized_client':
    case 'invalid_scope':
    case 'conflict':
      return MESSAGES.bad_request
  }
}

async function showOutcome(
  deps: Deps,
  c: AppContext,
  user: User,
  outcome: PageOutcome,
  flow: GrantReference['flow'],
): Promise<Response> {
  if (outcome.status === 'not_found' && flow === 'device') {
    const error = 'That code is not known. Compare it with your terminal, or start again there.'
    return await c.html(<EnterCodePage page={pageContext(deps, user)} error={error} />, 404)
  }
  if ('retry_after' in outcome) c.header('Retry-After', String(outcome.retry_after))
  return await showMessage(deps, c, outcomeMessage(outcome), user)
}

async function decide(deps: Deps, c: AppContext, reference: GrantReference, form: Params): Promise<Response> {
  const { caller } = c.env
  const user = await findViewer(deps, caller.request)
  if (!user) return await showMessage(deps, c, MESSAGES.foreign_form)
  if (!isOwnForm(deps, c, user, reference, form))
    return await showMessage(deps, c, MESSAGES.foreign_form, user)
  const decision = form.get('decision')
  if (decision !== 'allow' && decision !== 'deny')
    return await showMessage(deps, c, MESSAGES.bad_request, user)
  const status = decision === 'allow' ? 'approved' : 'denied'
  const outcome = await decideGrant(deps, caller, user, reference, { status, code: form.get('code') })
  if (outcome.status === 'wrong_code') {
    return await showReview(
      deps,
      c,
      user,
      reference,
      'That is not the code in your terminal. Nothing was allowed.',
    )
  }
  return await showOutcome(deps, c, user, outcome, reference.flow)
}

/** The path that was asked for, to come back to. */
function ownPath(deps: Deps, c: AppContext): string {
  const { pathname, search } = new URL(c.env.caller.request.url)
  return safeReturnPath(pathname + search, deps.config.baseUrl)
}

/** `GET /device`: asks for a code, or shows the request that it names. */
export function devicePage(deps: Deps): Handler {
  return async (c) => {
    const query = readQuery(c.req.raw)
    if (typeof query === 'string') return await showMessage(deps, c, MESSAGES.bad_request)
    const user = await findViewer(deps, c.env.caller.request)
    if (!user) return await sendToSignIn(deps, c, ownPath(deps, c))
    const userCode = query.get('user_code')
    if (!userCode) return c.html(<EnterCodePage page={pageContext(deps, user)} />)
    return await showReview(deps, c, user, { flow: 'device', user_code: userCode })
  }
}

/** `POST /device`: Allow or Deny. */
export function deviceDecision(deps: Deps): Handler {
  return async (c) => {
    const form = await readForm(c.req.raw)
    const userCode = typeof form === 'string' ? undefined : form.get('user_code')
    if (typeof form === 'string' || !userCode) return await showMessage(deps, c, MESSAGES.bad_request)
    return await decide(deps, c, { flow: 'device', user_code: userCode }, form)
  }
}

const pairReference = (c: AppContext) => ({ flow: 'pair', paircode: c.req.param('paircode') ?? '' }) as const

/** `GET /pair/{paircode}`: shows the request. */
export function pairPage(deps: Deps): Handler {
  return async (c) => {
    const user = await findViewer(deps, c.env.caller.request)
    return user
      ? await showReview(deps, c, user, pairReference(c))
      : await sendToSignIn(deps, c, ownPath(deps, c))
  }
}

/** `POST /pair/{paircode}`: Allow or Deny. */
export function pairDecision(deps: Deps): Handler {
  return async (c) => {
    const form = await readForm(c.req.raw)
    if (typeof form === 'string') return await showMessage(deps, c, MESSAGES.bad_request)
    return await decide(deps, c, pairReference(c), form)
  }
}
