/** @jsxRuntime automatic */
/** @jsxImportSource hono/jsx */

/** The endpoints of the review page: shown on GET, decided on POST. @module */

import type { Params } from '../core/form.ts'
import type { DecideOutcome, Refusal, ReviewDetails } from '../core/outcome.ts'
import { safeReturnPath } from '../core/same_origin.ts'
import { decideGrant, type GrantReference, reviewGrant } from '../flows/approval.ts'
import { findViewer, type Viewer } from '../flows/browser.ts'
import { scopeList } from '../flows/credentials.ts'
import type { Deps } from '../flows/deps.ts'
import { EnterCodePage } from '../pages/enter_code.tsx'
import { type ScopeChoice, scopeField } from '../pages/fields.tsx'
import { MESSAGES, type Message, tooMany } from '../pages/message.tsx'
import { ReviewPage, type ReviewProblem } from '../pages/review.tsx'
import { type FormPurpose, formSigner, isOwnForm } from './form_token.ts'
import { pageContext, sendToFreshSignIn, sendToSignIn, showMessage, tickedScopes } from './page.tsx'
import { type AppContext, type Handler, readForm, readQuery } from './route.ts'
import { contentSecurityPolicy } from './security_policy.ts'

function purposeOf(reference: GrantReference): FormPurpose {
  return [reference.flow, reference.flow === 'device' ? reference.user_code : reference.paircode]
}

/** The path of the page that shows a request. */
function reviewPath({ config: { basePath } }: Deps, reference: GrantReference): string {
  return reference.flow === 'device'
    ? `${basePath}/device?${new URLSearchParams({ user_code: reference.user_code })}`
    : `${basePath}/pair/${reference.paircode}`
}

/** What a form said that did not decide, and what was wrong with it, if anything. */
interface Retry {
  readonly problem?: ReviewProblem
  readonly form: Params
}

/** The scopes that were asked for; all of them are ticked at first. */
function scopeChoices({ config }: Deps, { scope }: ReviewDetails, retry: Retry | undefined): ScopeChoice[] {
  return scopeList(scope).map((token) => {
    const ticked = !retry || retry.form.has(scopeField(token))
    return { token, words: config.scopes.get(token) ?? token, ticked }
  })
}

async function showReview(
  deps: Deps,
  c: AppContext,
  viewer: Viewer,
  reference: GrantReference,
  retry?: Retry,
): Promise<Response> {
  const { user } = viewer
  const review = await reviewGrant(deps, c.env.caller, viewer, reference)
  if (review.status !== 'pending') return await showOutcome(deps, c, viewer, review, reference)
  const { basePath } = deps.config
  c.header('Content-Security-Policy', contentSecurityPolicy(deps, review.loopback_port))
  const props = {
    page: pageContext(deps, user),
    scopes: scopeChoices(deps, review, retry),
    now: deps.now(),
    action: reference.flow === 'device' ? `${basePath}/device` : reviewPath(deps, reference),
    hidden: {
      form_token: formSigner(deps, c, user)(purposeOf(reference)),
      ...(reference.flow === 'device' && { user_code: reference.user_code }),
    },
    chosen: retry && { code: retry.form.get('code'), tenant: retry.form.get('tenant') },
    problem: retry?.problem,
  }
  return await c.html(<ReviewPage {...props} user={user} review={review} />, retry?.problem ? 400 : 200)
}

const PROBLEMS = {
  wrong_code: { field: 'code', text: 'That is not the code in your terminal. Nothing was allowed.' },
  scope_required: { field: 'scope', text: 'Leave at least one ticked, or deny. Nothing was allowed.' },
  tenant_required: { field: 'tenant', text: 'Choose one of these. Nothing was allowed.' },
} as const satisfies Record<string, ReviewProblem>

type PageOutcome = Exclude<DecideOutcome, { status: keyof typeof PROBLEMS }> | Refusal

function hasProblem(outcome: DecideOutcome | Refusal): outcome is { status: keyof typeof PROBLEMS } {
  return Object.hasOwn(PROBLEMS, outcome.status)
}

/** The page for each outcome: the one place where it is chosen. */
function outcomeMessage(outcome: PageOutcome, flow: GrantReference['flow']): Message {
  switch (outcome.status) {
    case 'approved':
    case 'denied':
    case 'not_found':
    case 'expired':
    case 'user_disabled':
    case 'untrusted_network':
    case 'not_allowed':
      return MESSAGES[outcome.status]
    case 'already_decided':
      return outcome.your_decision ? MESSAGES[`already_${outcome.your_decision}`] : MESSAGES.already_decided
    case 'rate_limited':
    case 'overloaded':
      return MESSAGES.rate_limited
    case 'not_signed_in':
    case 'login_required':
      return MESSAGES.sign_in_first
    case 'too_many_credentials':
      return tooMany(flow, outcome.max)
    case 'invalid_request':
    case 'invalid_client':
    case 'unauthorized_client':
    case 'invalid_scope':
    case 'insufficient_scope':
    case 'conflict':
      return MESSAGES.bad_request
  }
}

async function showOutcome(
  deps: Deps,
  c: AppContext,
  { user }: Viewer,
  outcome: PageOutcome,
  reference: GrantReference,
): Promise<Response> {
  if (outcome.status === 'not_found' && reference.flow === 'device') {
    const error = 'That code is not known. Compare it with your terminal, or start again there.'
    return await c.html(<EnterCodePage page={pageContext(deps, user)} error={error} />, 404)
  }
  if (outcome.status === 'login_required')
    return await sendToFreshSignIn(deps, c, reviewPath(deps, reference), user)
  if ('retry_after' in outcome) c.header('Retry-After', String(outcome.retry_after))
  return await showMessage(deps, c, outcomeMessage(outcome, reference.flow), user)
}

async function decide(deps: Deps, c: AppContext, reference: GrantReference, form: Params): Promise<Response> {
  const { caller } = c.env
  const viewer = await findViewer(deps, caller)
  if (!viewer) return await showMessage(deps, c, MESSAGES.foreign_form)
  const { user } = viewer
  if (!isOwnForm(deps, c, user, purposeOf(reference), form))
    return await showMessage(deps, c, MESSAGES.foreign_form, user)
  const decision = form.get('decision')
  if (decision === 'none') return await showReview(deps, c, viewer, reference, { form })
  if (decision !== 'allow' && decision !== 'deny')
    return await showMessage(deps, c, MESSAGES.bad_request, user)
  const outcome = await decideGrant(deps, caller, viewer, reference, {
    status: decision === 'allow' ? 'approved' : 'denied',
    code: form.get('code'),
    scope: tickedScopes(form).join(' '),
    // a page that showed none was made before there were any: nothing is chosen for the person
    tenant: form.get('tenant') ?? (viewer.tenants.length > 0 ? '' : undefined),
  })
  if ('redirect_to' in outcome) return c.redirect(outcome.redirect_to, 303)
  return hasProblem(outcome)
    ? await showReview(deps, c, viewer, reference, { problem: PROBLEMS[outcome.status], form })
    : await showOutcome(deps, c, viewer, outcome, reference)
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
    const viewer = await findViewer(deps, c.env.caller)
    if (!viewer) return await sendToSignIn(deps, c, ownPath(deps, c))
    const userCode = query.get('user_code')
    if (!userCode) return c.html(<EnterCodePage page={pageContext(deps, viewer.user)} />)
    return await showReview(deps, c, viewer, { flow: 'device', user_code: userCode })
  }
}

/** `POST /device`: Allow or Deny. */
export function deviceDecision(deps: Deps): Handler {
  return async (c) => {
    const form = readForm(c)
    const userCode = typeof form === 'string' ? undefined : form.get('user_code')
    if (typeof form === 'string' || !userCode) return await showMessage(deps, c, MESSAGES.bad_request)
    return await decide(deps, c, { flow: 'device', user_code: userCode }, form)
  }
}

const pairReference = (c: AppContext) => ({ flow: 'pair', paircode: c.req.param('paircode') ?? '' }) as const

/** `GET /pair/{paircode}`: shows the request. */
export function pairPage(deps: Deps): Handler {
  return async (c) => {
    const viewer = await findViewer(deps, c.env.caller)
    return viewer
      ? await showReview(deps, c, viewer, pairReference(c))
      : await sendToSignIn(deps, c, ownPath(deps, c))
  }
}

/** `POST /pair/{paircode}`: Allow or Deny. */
export function pairDecision(deps: Deps): Handler {
  return async (c) => {
    const form = readForm(c)
    if (typeof form === 'string') return await showMessage(deps, c, MESSAGES.bad_request)
    return await decide(deps, c, pairReference(c), form)
  }
}
