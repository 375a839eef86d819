/** @jsxRuntime automatic */
/** @jsxImportSource hono/jsx */

/** The pages: server-rendered, no script needed, nothing decided on a GET. @module */

import type { Hono } from 'hono'
import type { Params } from '../core/form.ts'
import type { DecideOutcome, Refusal } from '../core/outcome.ts'
import { requestSite, safeReturnPath } from '../core/same_origin.ts'
import { decideGrant, type GrantReference, reviewGrant } from '../flows/approval.ts'
import { devSignIn, findViewer, type SignInStep, signOut } from '../flows/browser.ts'
import { getCookie, setCookie } from '../flows/cookies.ts'
import type { Deps } from '../flows/deps.ts'
import { finishSignIn, type SignInFailed, startSignIn } from '../flows/sign_in.ts'
import { base64url, sign, verifySignature } from '../hash.ts'
import { EnterCodePage } from '../pages/enter_code.tsx'
import type { PageContext } from '../pages/layout.tsx'
import { MESSAGES, type Message, MessagePage } from '../pages/message.tsx'
import { ReviewPage } from '../pages/review.tsx'
import { SignInPage } from '../pages/sign_in.tsx'
import type { User } from '../store.ts'
import { type AppContext, type AppEnv, type Handler, readForm, readQuery, route } from './route.ts'

function pageContext(deps: Deps, user: User | null): PageContext {
  const { name, basePath, identify } = deps.config
  return { name, basePath, user, canSignOut: identify === undefined }
}

/** Answers with a page that only says something. */
export function showMessage(
  deps: Deps,
  c: AppContext,
  message: Message,
  user: User | null = null,
): Response | Promise<Response> {
  return c.html(<MessagePage page={pageContext(deps, user)} message={message} />, message.status)
}

function takeStep(c: AppContext, { location, cookies }: SignInStep): Response {
  for (const cookie of cookies) c.header('Set-Cookie', cookie, { append: true })
  return c.redirect(location, 303)
}

/** Sends an unknown person to sign in, and back here. */
function sendToSignIn(deps: Deps, c: AppContext): Response | Promise<Response> {
  const { pathname, search } = new URL(c.env.caller.request.url)
  const { baseUrl, origin, basePath, identify, signInUrl } = deps.config
  const next = safeReturnPath(pathname + search, baseUrl)
  if (!identify) return c.redirect(`${basePath}/sign-in?${new URLSearchParams({ next })}`, 303)
  return signInUrl ? c.redirect(signInUrl(origin + next), 303) : showMessage(deps, c, MESSAGES.sign_in_first)
}

const wrongMethod =
  (deps: Deps): Handler =>
  (c) =>
    showMessage(deps, c, { ...MESSAGES.bad_request, status: 405, text: 'This page cannot be used that way.' })

// --- sign-in ---

function showSignIn(deps: Deps, c: AppContext, next: string, error?: string) {
  const { signIn, devSignIn: dev } = deps.config
  const props = { next, providers: signIn, devSignIn: dev, error }
  return c.html(<SignInPage page={pageContext(deps, null)} {...props} />, error ? 400 : 200)
}

function signInPage(deps: Deps): Handler {
  return async (c) => {
    const query = readQuery(c.req.raw)
    if (typeof query === 'string') return await showMessage(deps, c, MESSAGES.bad_request)
    const next = safeReturnPath(query.get('next'), deps.config.baseUrl)
    if (await findViewer(deps, c.env.caller.request)) return c.redirect(next, 303)
    return deps.config.identify
      ? await showMessage(deps, c, MESSAGES.sign_in_first)
      : await showSignIn(deps, c, next)
  }
}

function devSignInForm(deps: Deps): Handler {
  return async (c) => {
    if (!deps.config.devSignIn) return await showMessage(deps, c, MESSAGES.no_such_page)
    if (requestSite(c.req.raw.headers, deps.config.origin) !== 'same-origin')
      return await showMessage(deps, c, MESSAGES.foreign_form)
    const form = await readForm(c.req.raw)
    if (typeof form === 'string') return await showMessage(deps, c, MESSAGES.bad_request)
    const next = form.get('next')
    const step = await devSignIn(deps, c.env.caller, { username: form.get('username') ?? '', next })
    if ('location' in step) return takeStep(c, step)
    if (step.status === 'user_disabled') return await showMessage(deps, c, MESSAGES.user_disabled)
    return await showSignIn(deps, c, safeReturnPath(next, deps.config.baseUrl), step.description)
  }
}

function providerStart(deps: Deps): Handler {
  return async (c) => {
    const query = readQuery(c.req.raw)
    if (typeof query === 'string') return await showMessage(deps, c, MESSAGES.bad_request)
    const step = await startSignIn(deps, c.env.caller, c.req.param('provider') ?? '', query.get('next'))
    return 'location' in step ? takeStep(c, step) : await showMessage(deps, c, signInMessage(step))
  }
}

function providerCallback(deps: Deps): Handler {
  return async (c) => {
    const query = readQuery(c.req.raw)
    if (typeof query === 'string') return await showMessage(deps, c, MESSAGES.bad_request)
    const { search } = new URL(c.req.url)
    const step = await finishSignIn(deps, c.env.caller, c.req.param('provider') ?? '', search)
    return 'location' in step ? takeStep(c, step) : await showMessage(deps, c, signInMessage(step))
  }
}

type SignInFailure = SignInFailed | { readonly status: 'not_found' | 'user_disabled' | 'sign_in_expired' }

function signInMessage(failure: SignInFailure): Message {
  switch (failure.status) {
    case 'not_found':
      return MESSAGES.no_such_page
    case 'sign_in_failed':
    case 'sign_in_cancelled':
      return {
        title: failure.status === 'sign_in_failed' ? 'Sign-in failed' : 'Sign-in cancelled',
        status: failure.status === 'sign_in_failed' ? 502 : 400,
        text: `${failure.message}. Please try again.`,
        link: { path: `/sign-in?${new URLSearchParams({ next: failure.next })}`, text: 'Sign in' },
      }
    default:
      return MESSAGES[failure.status]
  }
}

function signOutForm(deps: Deps): Handler {
  return async (c) => {
    if (requestSite(c.req.raw.headers, deps.config.origin) !== 'same-origin')
      return await showMessage(deps, c, MESSAGES.foreign_form)
    return takeStep(c, await signOut(deps, c.env.caller))
  }
}

// --- review and decision ---

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

function devicePage(deps: Deps): Handler {
  return async (c) => {
    const query = readQuery(c.req.raw)
    if (typeof query === 'string') return await showMessage(deps, c, MESSAGES.bad_request)
    const user = await findViewer(deps, c.env.caller.request)
    if (!user) return await sendToSignIn(deps, c)
    const userCode = query.get('user_code')
    if (!userCode) return c.html(<EnterCodePage page={pageContext(deps, user)} />)
    return await showReview(deps, c, user, { flow: 'device', user_code: userCode })
  }
}

function deviceDecision(deps: Deps): Handler {
  return async (c) => {
    const form = await readForm(c.req.raw)
    const userCode = typeof form === 'string' ? undefined : form.get('user_code')
    if (typeof form === 'string' || !userCode) return await showMessage(deps, c, MESSAGES.bad_request)
    return await decide(deps, c, { flow: 'device', user_code: userCode }, form)
  }
}

const pairReference = (c: AppContext) => ({ flow: 'pair', paircode: c.req.param('paircode') ?? '' }) as const

function pairPage(deps: Deps): Handler {
  return async (c) => {
    const user = await findViewer(deps, c.env.caller.request)
    return user ? await showReview(deps, c, user, pairReference(c)) : await sendToSignIn(deps, c)
  }
}

function pairDecision(deps: Deps): Handler {
  return async (c) => {
    const form = await readForm(c.req.raw)
    if (typeof form === 'string') return await showMessage(deps, c, MESSAGES.bad_request)
    return await decide(deps, c, pairReference(c), form)
  }
}

/** Adds every page. */
export function addPages(deps: Deps, app: Hono<AppEnv>): void {
  const { basePath } = deps.config
  const add = (path: string, methods: Parameters<typeof route>[3]) =>
    route(deps, app, basePath + path, methods, wrongMethod(deps))
  add('/', { GET: (c) => c.redirect(`${basePath}/device`, 302) })
  add('/device', { GET: devicePage(deps), POST: deviceDecision(deps) })
  add('/oauth/device/verify', {
    GET: (c) => c.redirect(`${basePath}/device${new URL(c.req.url).search}`, 302),
  })
  add('/pair/:paircode', { GET: pairPage(deps), POST: pairDecision(deps) })
  add('/sign-in', { GET: signInPage(deps) })
  add('/sign-in/dev', { POST: devSignInForm(deps) })
  add('/sign-in/:provider', { GET: providerStart(deps) })
  add('/sign-in/callback/:provider', { GET: providerCallback(deps) })
  add('/sign-out', { POST: signOutForm(deps) })
}
