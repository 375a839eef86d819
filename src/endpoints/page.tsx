/** @jsxRuntime automatic */
/** @jsxImportSource hono/jsx */

/** What all page endpoints share. @module */

import type { Params } from '../core/form.ts'
import type { Deps } from '../flows/deps.ts'
import { scopeField } from '../pages/fields.tsx'
import type { PageContext } from '../pages/layout.tsx'
import { MESSAGES, type Message, MessagePage, signInAgain } from '../pages/message.tsx'
import type { User } from '../store.ts'
import type { AppContext } from './route.ts'

/** What a page for `user` knows of its surroundings. */
export function pageContext(deps: Deps, user: User | null): PageContext {
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

/** Sends an unknown person to sign in, and then on to `next`. */
export function sendToSignIn(deps: Deps, c: AppContext, next: string): Response | Promise<Response> {
  const { origin, basePath, identify, signInUrl } = deps.config
  if (!identify) return c.redirect(`${basePath}/sign-in?${new URLSearchParams({ next })}`, 303)
  return signInUrl ? c.redirect(signInUrl(origin + next), 303) : showMessage(deps, c, MESSAGES.sign_in_first)
}

/** Sends somebody whose sign-in is too old to sign in again, and then on to `next`. */
export function sendToFreshSignIn(
  deps: Deps,
  c: AppContext,
  next: string,
  user: User,
): Response | Promise<Response> {
  // a gateway may send people straight back: a link, not a redirect, or that would go round for ever
  return deps.config.identify ? showMessage(deps, c, signInAgain(next), user) : sendToSignIn(deps, c, next)
}

/** The scopes whose boxes were ticked in a form. */
export function tickedScopes(form: Params): string[] {
  const prefix = scopeField('')
  return [...form.keys()].filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length))
}
