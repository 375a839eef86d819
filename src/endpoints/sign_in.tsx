/** @jsxRuntime automatic */
/** @jsxImportSource hono/jsx */

/** The endpoints of signing in and out. @module */

import { requestSite, safeReturnPath } from '../core/same_origin.ts'
import { devSignIn, findViewer, isSignInOld, type SignInStep, signOut } from '../flows/browser.ts'
import type { Deps } from '../flows/deps.ts'
import { finishSignIn, type SignInFailed, startSignIn } from '../flows/sign_in.ts'
import { MESSAGES, type Message } from '../pages/message.tsx'
import { SignInPage } from '../pages/sign_in.tsx'
import { pageContext, sendToSignIn, showMessage } from './page.tsx'
import { type AppContext, type Handler, readForm, readQuery } from './route.ts'

function takeStep(c: AppContext, { location, cookies }: SignInStep): Response {
  for (const cookie of cookies) c.header('Set-Cookie', cookie, { append: true })
  return c.redirect(location, 303)
}

function showSignIn(deps: Deps, c: AppContext, next: string, why: { isOld?: boolean; error?: string }) {
  const { signIn, devSignIn: dev } = deps.config
  const props = { next, providers: signIn, devSignIn: dev, isOld: false, ...why }
  return c.html(<SignInPage page={pageContext(deps, null)} {...props} />, why.error ? 400 : 200)
}

/** `GET /sign-in`: the ways to sign in. */
export function signInPage(deps: Deps): Handler {
  return async (c) => {
    const query = readQuery(c.req.raw)
    if (typeof query === 'string') return await showMessage(deps, c, MESSAGES.bad_request)
    const next = safeReturnPath(query.get('next'), deps.config.baseUrl)
    const viewer = await findViewer(deps, c.env.caller)
    if (viewer && !isSignInOld(deps, viewer)) return c.redirect(next, 303)
    if (deps.config.identify) return await sendToSignIn(deps, c, next)
    return await showSignIn(deps, c, next, { isOld: viewer !== null })
  }
}

/** `POST /sign-in/dev`. */
export function devSignInForm(deps: Deps): Handler {
  return async (c) => {
    if (!deps.config.devSignIn) return await showMessage(deps, c, MESSAGES.no_such_page)
    if (requestSite(c.req.raw.headers, deps.config.origin) !== 'same-origin')
      return await showMessage(deps, c, MESSAGES.foreign_form)
    const form = readForm(c)
    if (typeof form === 'string') return await showMessage(deps, c, MESSAGES.bad_request)
    const next = form.get('next')
    const step = await devSignIn(deps, c.env.caller, { username: form.get('username') ?? '', next })
    if ('location' in step) return takeStep(c, step)
    if (step.status === 'user_disabled') return await showMessage(deps, c, MESSAGES.user_disabled)
    const { description: error } = step
    return await showSignIn(deps, c, safeReturnPath(next, deps.config.baseUrl), { error })
  }
}

/** `GET /sign-in/{provider}`: off to the provider. */
export function providerStart(deps: Deps): Handler {
  return async (c) => {
    const query = readQuery(c.req.raw)
    if (typeof query === 'string') return await showMessage(deps, c, MESSAGES.bad_request)
    const step = await startSignIn(deps, c.env.caller, c.req.param('provider') ?? '', query.get('next'))
    return 'location' in step ? takeStep(c, step) : await showMessage(deps, c, signInMessage(step))
  }
}

/** `GET /sign-in/callback/{provider}`: back from it. */
export function providerCallback(deps: Deps): Handler {
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

/** `POST /sign-out`. */
export function signOutForm(deps: Deps): Handler {
  return async (c) => {
    if (requestSite(c.req.raw.headers, deps.config.origin) !== 'same-origin')
      return await showMessage(deps, c, MESSAGES.foreign_form)
    return takeStep(c, await signOut(deps, c.env.caller))
  }
}
