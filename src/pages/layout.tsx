/** @jsxRuntime automatic */
/** @jsxImportSource hono/jsx */

/** The frame of every page. @module */

import { raw } from 'hono/html'
import type { PropsWithChildren } from 'hono/jsx'
import { DEV_ISSUER } from '../config.ts'
import { sha256Base64 } from '../hash.ts'
import type { User } from '../store.ts'
import { STYLE } from './style.ts'

/** What every page knows of its surroundings. */
export interface PageContext {
  /** What the service is called. */
  readonly name: string
  /** Path of the mount, for links. */
  readonly basePath: string
  /** Who is signed in. */
  readonly user: User | null
  /** Whether pairgate itself can sign the person out, or the gateway does. */
  readonly canSignOut: boolean
}

/** Source expression that lets the style sheet through a Content-Security-Policy. */
export const STYLE_HASH = `'sha256-${sha256Base64(STYLE)}'`

/** How a person is named on a page: their name, and the subject when it differs. */
export function personName(user: Pick<User, 'name' | 'subject' | 'email'>): string {
  const detail = user.email ?? user.subject
  return user.name && user.name !== detail ? `${user.name} (${detail})` : detail
}

/** How the issuer that vouches for a person is named on a page. */
export function issuerName(issuer: string): string {
  if (issuer === DEV_ISSUER) return 'development sign-in'
  return URL.canParse(issuer) && new URL(issuer).host ? new URL(issuer).host : issuer
}

/** Where a person sees what is theirs, under the mount. */
export const ACCOUNT = { path: '/account', text: 'Your keys and sessions' } as const

/** A whole page. */
export function Layout(props: PropsWithChildren<{ page: PageContext; title: string; wide?: boolean }>) {
  const { page, title, wide, children } = props
  return (
    <>
      {raw('<!doctype html>')}
      <html lang="en">
        <head>
          <meta charset="utf-8" />
          <meta name="viewport" content="width=device-width, initial-scale=1" />
          <meta name="robots" content="noindex" />
          <title>{`${title} · ${page.name}`}</title>
          <style dangerouslySetInnerHTML={{ __html: STYLE }} />
        </head>
        <body class={wide ? 'wide' : undefined}>
          <header>
            <span>{page.name}</span>
            {page.user && (
              <span>
                {personName(page.user)}
                {' · '}
                <a class="plain" href={page.basePath + ACCOUNT.path}>
                  {ACCOUNT.text}
                </a>
                {page.canSignOut && (
                  <form method="post" action={`${page.basePath}/sign-out`}>
                    {' · '}
                    <button class="plain" type="submit">
                      Sign out
                    </button>
                  </form>
                )}
              </span>
            )}
          </header>
          <main>
            <h1>{title}</h1>
            {children}
          </main>
        </body>
      </html>
    </>
  )
}
