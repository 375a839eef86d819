/** @jsxRuntime automatic */
/** @jsxImportSource hono/jsx */

/** The review page: who asks, from where, when, for what, as whom; Allow and Deny at equal weight. @module */

import type { ReviewDetails } from '../core/outcome.ts'
import type { User } from '../store.ts'
import { Fact, formatDuration, Moment } from './facts.tsx'
import {
  Hidden,
  NO_SCOPES,
  Problem,
  ScopeBoxes,
  type ScopeChoice,
  scopeField,
  TenantButtons,
} from './fields.tsx'
import { issuerName, Layout, type PageContext, personName } from './layout.tsx'

/** What is wrong with a decision: where on the page, and in which words. */
export interface ReviewProblem {
  readonly field: 'code' | 'scope' | 'tenant'
  readonly text: string
}

/** The text of a problem, when it is with this field. */
const textOf = (problem: ReviewProblem | undefined, field: ReviewProblem['field']) =>
  problem?.field === field ? problem.text : undefined

function CodeCheck(props: { review: ReviewDetails; typed: string | undefined; error: string | undefined }) {
  const { review, typed, error } = props
  const what = review.flow === 'device' ? 'code' : 'match code'
  if (!review.code_required) {
    return (
      <>
        {review.code_in_terminal ? (
          <p>Your terminal must show this {what}:</p>
        ) : (
          <p class="warn">
            This older app shows no code to compare, so look closely at where the request comes from. The{' '}
            {what} of this request:
          </p>
        )}
        <strong class="code">{review.code}</strong>
      </>
    )
  }
  return (
    <>
      <p class="warn">
        This request came from another network than this browser, or we cannot tell. Somebody may have sent
        you this link. Type the {what} from <em>your own</em> terminal to go on.
      </p>
      <Problem text={error} />
      <label for="code">{review.flow === 'device' ? 'Code' : 'Match code'} in your terminal</label>
      <input
        class="typed"
        type="text"
        id="code"
        name="code"
        value={typed}
        maxlength={32}
        autocomplete="off"
        spellcheck={false}
        autofocus={error !== undefined}
        aria-describedby={error ? 'problem' : undefined}
      />
    </>
  )
}

/** What the app gets; with several scopes the person may leave some out. */
function Access({ scopes, error }: { scopes: readonly ScopeChoice[]; error: string | undefined }) {
  const [only] = scopes
  if (!only) return NO_SCOPES
  if (scopes.length === 1)
    return (
      <>
        {only.words}
        <Hidden fields={{ [scopeField(only.token)]: '1' }} />
      </>
    )
  return (
    <fieldset aria-label="Access" aria-describedby={error ? 'problem' : undefined}>
      <Problem text={error} />
      <ScopeBoxes scopes={scopes} />
    </fieldset>
  )
}

/** Which organisation the login is for. What is shown is also sent, so that it is what gets allowed. */
function Organisation(props: {
  tenants: ReviewDetails['tenants']
  chosen: string | undefined
  error: string | undefined
}) {
  const { tenants, chosen, error } = props
  const [only] = tenants
  if (!only) return null
  return (
    <Fact name="Organisation">
      {tenants.length === 1 ? (
        <>
          {only.name}
          <Hidden fields={{ tenant: only.id }} />
        </>
      ) : (
        <fieldset aria-label="Organisation" aria-describedby={error ? 'problem' : undefined}>
          <Problem text={error} />
          <TenantButtons tenants={tenants} chosen={chosen} />
        </fieldset>
      )}
    </Fact>
  )
}

/** Shows a request. `action` is where the decision goes, the token in `hidden` ties it to person, browser and request. */
export function ReviewPage(props: {
  page: PageContext
  user: User
  review: ReviewDetails
  scopes: readonly ScopeChoice[]
  now: number
  action: string
  hidden: Readonly<Record<string, string>>
  /** What was chosen before the problem. */
  chosen?: { readonly code: string | undefined; readonly tenant: string | undefined } | undefined
  problem?: ReviewProblem | undefined
}) {
  const { page, user, review, scopes, now, action, hidden, chosen, problem } = props
  return (
    <Layout page={page} title={`Let ${review.client_name} sign in as you?`}>
      <form method="post" action={action}>
        <Hidden fields={hidden} />
        {/* Enter presses a form's first button. In a box to tick it must not allow; with a typed code it may. */}
        {!review.code_required && (scopes.length > 1 || review.tenants.length > 1) && (
          <button type="submit" name="decision" value="none" hidden>
            Not yet
          </button>
        )}
        <CodeCheck review={review} typed={chosen?.code} error={textOf(problem, 'code')} />
        <dl>
          <Fact name="App">
            {review.client_name} <small>({review.client_id})</small>
          </Fact>
          <Fact name="Device">
            {review.device_name ?? 'not named'}{' '}
            {review.device_name !== null && <small>(unverified: anyone can write this)</small>}
          </Fact>
          <Fact name="From">{review.remote_address ?? 'unknown address'}</Fact>
          <Fact name="Started">
            <Moment at={review.started_at} now={now} />
          </Fact>
          <Fact name="Access">
            <Access scopes={scopes} error={textOf(problem, 'scope')} />
          </Fact>
          <Organisation tenants={review.tenants} chosen={chosen?.tenant} error={textOf(problem, 'tenant')} />
          <Fact name="Lasts">{formatDuration(review.lifetime)} at most</Fact>
          <Fact name="As">
            {personName(user)} <small>({issuerName(user.issuer)})</small>
          </Fact>
        </dl>
        <p>
          <strong>Go on only if you started this yourself, just now.</strong> If somebody sent you the link or
          the code, do not.
        </p>
        <div class="buttons">
          <button type="submit" name="decision" value="allow">
            Allow
          </button>
          <button type="submit" name="decision" value="deny">
            Deny
          </button>
        </div>
      </form>
    </Layout>
  )
}
