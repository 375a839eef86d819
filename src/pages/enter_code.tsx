/** @jsxRuntime automatic */
/** @jsxImportSource hono/jsx */

/** The page behind `verification_uri` (RFC 8628 section 3.3): the person types the code from the terminal. @module */

import { Layout, type PageContext } from './layout.tsx'

/** Asks for a user code. Submitting it only leads to the review page. */
export function EnterCodePage(props: { page: PageContext; error?: string | undefined }) {
  const { page, error } = props
  return (
    <Layout page={page} title="Connect a command-line app">
      <p>Type the code that your terminal shows. You will see who is asking before anything happens.</p>
      {error && (
        <p class="error" role="alert" id="problem">
          {error}
        </p>
      )}
      <form method="get" action={`${page.basePath}/device`}>
        <label for="user_code">Code</label>
        <input
          class="typed"
          type="text"
          id="user_code"
          name="user_code"
          placeholder="XXXX-XXXX"
          required
          maxlength={24}
          autocomplete="off"
          autocapitalize="characters"
          spellcheck={false}
          autofocus
          aria-describedby={error ? 'problem' : undefined}
        />
        <button class="main" type="submit">
          Next
        </button>
      </form>
    </Layout>
  )
}
