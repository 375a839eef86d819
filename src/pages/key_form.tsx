/** @jsxRuntime automatic */
/** @jsxImportSource hono/jsx */

/** The form that makes a key, and the one page that shows a key's secret. @module */

import { Fact, formatDuration, Moment, OldSecret } from './facts.tsx'
import { Hidden, Problem, ScopeBoxes, type ScopeChoice, TenantButtons, type TenantChoice } from './fields.tsx'
import { ACCOUNT, Layout, type PageContext } from './layout.tsx'

/** What the form that makes a key needs to know. */
export interface KeyFormProps {
  /** Where it goes. */
  readonly action: string
  readonly hidden: Readonly<Record<string, string>>
  /** Lifetimes to choose from, in seconds. */
  readonly lifetimes: readonly number[]
  readonly lifetime: number
  readonly scopes: readonly ScopeChoice[]
  readonly tenants: readonly TenantChoice[]
  /** What was typed before the problem. */
  readonly name: string | undefined
  readonly tenant: string | undefined
  readonly problem: string | undefined
}

function lifetimeName(seconds: number): string {
  return seconds === 31_536_000 ? '1 year' : formatDuration(seconds)
}

/** Asks for what a new key should be. */
export function KeyForm(props: KeyFormProps) {
  const { action, hidden, lifetimes, lifetime, scopes, tenants, name, tenant, problem } = props
  const described = problem ? 'problem' : undefined
  return (
    <details open={problem !== undefined}>
      <summary>Make a key</summary>
      <form method="post" action={action}>
        <Hidden fields={hidden} />
        <Problem text={problem} />
        <label for="name">Name, such as what it is for</label>
        <input
          type="text"
          id="name"
          name="name"
          value={name}
          required
          maxlength={64}
          autocomplete="off"
          autofocus={problem !== undefined}
          aria-describedby={described}
        />
        <label for="expires_in">Good for</label>
        <select id="expires_in" name="expires_in">
          {lifetimes.map((seconds) => (
            <option value={String(seconds)} selected={seconds === lifetime}>
              {lifetimeName(seconds)}
            </option>
          ))}
        </select>
        {scopes.length > 0 && (
          <fieldset>
            <legend>What it may do, beside knowing who you are</legend>
            <ScopeBoxes scopes={scopes} />
          </fieldset>
        )}
        {tenants.length > 1 && (
          <fieldset>
            <legend>For which organisation</legend>
            <TenantButtons tenants={tenants} chosen={tenant} required />
          </fieldset>
        )}
        <button class="main" type="submit">
          Make the key
        </button>
      </form>
    </details>
  )
}

/** Shows a secret, this once. Times in epoch seconds, `now` in epoch milliseconds. */
export function SecretPage(props: {
  page: PageContext
  title: string
  name: string
  secret: string
  expiresAt: number
  /** Until when the secret before this one works; null when there is none. */
  previousUntil: number | null
  now: number
}) {
  const { page, title, name, secret, expiresAt, previousUntil, now } = props
  return (
    <Layout page={page} title={title}>
      <p class="warn" id="once">
        <strong>Copy it now: it will not be shown again.</strong>
      </p>
      <label for="secret">The secret</label>
      {/* a field, since what is only text cannot be selected with the keyboard */}
      <textarea
        id="secret"
        rows={2}
        readonly
        autofocus
        spellcheck={false}
        aria-describedby="once"
        class="code secret"
      >
        {secret}
      </textarea>
      <p>
        Keep it in a secret store or a password manager, never in code, a chat or a ticket. Programs send it
        as <code>Authorization: Bearer</code> and the key.
      </p>
      <dl>
        <Fact name="Name">{name}</Fact>
        <Fact name="Expires">
          <Moment at={expiresAt} now={now} />
        </Fact>
        {previousUntil !== null && <OldSecret until={previousUntil} now={now} />}
      </dl>
      <a class="button" href={page.basePath + ACCOUNT.path}>
        {ACCOUNT.text}
      </a>
    </Layout>
  )
}
