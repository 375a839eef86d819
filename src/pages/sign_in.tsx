/** @jsxRuntime automatic */
/** @jsxImportSource hono/jsx */

/** The sign-in page: one button for each identity provider, and the development form. @module */

import { Layout, type PageContext } from './layout.tsx'

/** Asks the person to sign in and remembers where they were going. */
export function SignInPage(props: {
  page: PageContext
  next: string
  providers: readonly { id: string; name: string }[]
  devSignIn: boolean
  /** The person is signed in, but too long ago for what they want to do. */
  isOld: boolean
  error?: string | undefined
}) {
  const { page, next, providers, devSignIn, isOld, error } = props
  const query = new URLSearchParams({ next })
  return (
    <Layout page={page} title="Sign in">
      {isOld && <p>You signed in a while ago. To go on, sign in again; nothing was changed.</p>}
      <div class="stack">
        {providers.map(({ id, name }) => (
          <a class="button" href={`${page.basePath}/sign-in/${id}?${query}`}>
            Continue with {name}
          </a>
        ))}
        {devSignIn && (
          <form method="post" action={`${page.basePath}/sign-in/dev`}>
            <p class="warn">Development sign-in: any name is believed. It works on this machine only.</p>
            <input type="hidden" name="next" value={next} />
            {error && (
              <p class="error" role="alert" id="problem">
                {error}
              </p>
            )}
            <label for="username">Name</label>
            <input
              type="text"
              id="username"
              name="username"
              required
              maxlength={64}
              autocomplete="username"
              autofocus
              aria-describedby={error ? 'problem' : undefined}
            />
            <button class="main" type="submit">
              Sign in
            </button>
          </form>
        )}
      </div>
    </Layout>
  )
}
