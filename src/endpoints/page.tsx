/** @jsxRuntime automatic */
/** @jsxImportSource hono/jsx */

/** What all page endpoints share. @module */

import type { Deps } from '../flows/deps.ts'
import type { PageContext } from '../pages/layout.tsx'
import { MESSAGES, type Message, MessagePage } from '../pages/message.tsx'
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
