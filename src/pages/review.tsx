/** @jsxRuntime automatic */
/** @jsxImportSource hono/jsx */

/** The review page: who asks, from where, when, for what, as whom; Allow and Deny at equal weight. @module */

import type { ReviewDetails } from '../core/outcome.ts'
import type { User } from '../store.ts'
import { issuerName, Layout, type PageContext, personName } from './layout.tsx'

/** Seconds in the words of a person: `about 10 minutes`. */
export function formatDuration(seconds: number): string {
  const units: [string, number][] = [
    ['day', 86_400],
    ['hour', 3_600],
    ['minute', 60],
  ]
  for (const [unit, length] of units) {
    const n = Math.round(seconds / length)
    if (seconds >= length) return `${n} ${unit}${n === 1 ? '' : 's'}`
  }
  return 'less than a minute'
}

function CodeCheck({ review, error }: { review: ReviewDetails; error: string | undefined }) {
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
      {error && (
        <p class="error" role="alert" id="problem">
          {error}
        </p>
      )}
      <label for="code">{review.flow === 'device' ? 'Code' : 'Match code'} in your terminal</label>
      <input
        class="typed"
        type="text"
        id="code"
        name="code"
        maxlength={32}
        autocomplete="off"
        spellcheck={false}
        autofocus={error !== undefined}
        aria-describedby={error ? 'problem' : undefined}
      />
    </>
  )
}

/** Shows a request. `action` is where the decision goes, `token` ties it to this person, browser and request. */
export function ReviewPage(props: {
  page: PageContext
  user: User
  review: ReviewDetails
  /** What the requested scopes mean, in words. */
  scopes: readonly string[]
  now: number
  action: string
  hidden: Readonly<Record<string, string>>
  error?: string | undefined
}) {
  const { page, user, review, scopes, now, action, hidden, error } = props
  const startedAt = new Date(review.started_at * 1000)
  return (
    <Layout page={page} title={`Let ${review.client_name} sign in as you?`}>
      <form method="post" action={action}>
        {Object.entries(hidden).map(([name, value]) => (
          <input type="hidden" name={name} value={value} />
        ))}
        <CodeCheck review={review} error={error} />
        <dl>
          <dt>App</dt>
          <dd>
            {review.client_name} <small>({review.client_id})</small>
          </dd>
          <dt>Device</dt>
          <dd>
            {review.device_name ?? 'not named'}{' '}
            {review.device_name !== null && <small>(unverified: anyone can write this)</small>}
          </dd>
          <dt>From</dt>
          <dd>{review.remote_address ?? 'unknown address'}</dd>
          <dt>Started</dt>
          <dd>
            {formatDuration(now / 1000 - review.started_at)} ago{' '}
            <small>
              <time
                datetime={startedAt.toISOString()}
              >{`${startedAt.toISOString().slice(0, 16).replace('T', ' ')} UTC`}</time>
            </small>
          </dd>
          <dt>Access</dt>
          <dd>
            {scopes.length > 0 ? (
              <ul>
                {scopes.map((scope) => (
                  <li>{scope}</li>
                ))}
              </ul>
            ) : (
              'Your account here, no further scopes'
            )}
          </dd>
          <dt>Lasts</dt>
          <dd>{formatDuration(review.lifetime)}</dd>
          <dt>As</dt>
          <dd>
            {personName(user)} <small>({issuerName(user.issuer)})</small>
          </dd>
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
