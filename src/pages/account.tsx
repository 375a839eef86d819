/** @jsxRuntime automatic */
/** @jsxImportSource hono/jsx */

/** A person's keys and sessions in one list: where each came from, where it was used, and its end. @module */

import type { PropsWithChildren } from 'hono/jsx'
import type { CredentialSummary } from '../flows/account.ts'
import { Fact, Moment, OldSecret } from './facts.tsx'
import { Hidden, NO_SCOPES } from './fields.tsx'
import { KeyForm, type KeyFormProps } from './key_form.tsx'
import { ACCOUNT, Layout, type PageContext } from './layout.tsx'

/** A key or a session, with the names of what it refers to. */
export interface Entry extends CredentialSummary {
  /** The app; null for a key made by hand, and for a browser. */
  readonly client_name: string | null
  /** What its scopes allow, in words. */
  readonly access: readonly string[]
  readonly tenant_name: string | null
}

/** What was done, said on top of the list. */
export interface Notice {
  readonly text: string
  readonly isError?: boolean
  /** Offers to end everything else: after a report. */
  readonly offerEnd?: boolean
}

/** How long the old secret of a rotated key may stay good: seconds, and in words. */
export const OVERLAPS: ReadonlyMap<string, string> = new Map([
  ['0', 'stops now'],
  ['3600', 'works for 1 hour'],
  ['86400', 'works for 1 day'],
  ['604800', 'works for 7 days'],
])

interface Frame {
  readonly page: PageContext
  /** Ties the forms to the person and the browser. */
  readonly token: string
}

/** A form of this page. Each has its own token: what Enter presses is then always its own button. */
function ActionForm(
  props: PropsWithChildren<{ frame: Frame; fields?: Readonly<Record<string, string>>; class?: string }>,
) {
  const { frame, fields, children } = props
  return (
    <form method="post" action={frame.page.basePath + ACCOUNT.path} class={props.class}>
      <Hidden fields={{ form_token: frame.token, ...fields }} />
      {children}
    </form>
  )
}

/** What presses which action. */
function Action({ name, text, of }: { name: string; text: string; of?: string | undefined }) {
  return (
    <button type="submit" name="action" value={name} aria-describedby={of}>
      {text}
    </button>
  )
}

function kindName({ kind, current }: Entry): string {
  if (kind === 'api_key') return 'API key'
  if (kind === 'session') return 'Session of a command-line app'
  return current ? 'This browser' : 'Another browser'
}

const STATUS = { active: 'active', expired: 'Expired', revoked: 'Ended' } as const

function Origin({ entry }: { entry: Entry }) {
  const { kind, client_id, remote_address, approved_address } = entry
  const from = remote_address ?? 'unknown address'
  if (kind === 'browser' || client_id === null)
    return <Fact name={kind === 'browser' ? 'Signed in from' : 'Made from'}>{from}</Fact>
  return (
    <>
      {/* logins of before this was recorded have none: nothing to be alarmed at */}
      {approved_address !== null && <Fact name="Allowed from">{approved_address}</Fact>}
      <Fact name="Collected from">{from}</Fact>
    </>
  )
}

function Facts({ entry, now }: { entry: Entry; now: number }) {
  const { kind, client_name, client_id, tenant_name, access, status, previous_until } = entry
  return (
    <dl>
      {client_id !== null && <Fact name="App">{client_name}</Fact>}
      {kind !== 'browser' && <Fact name="Access">{access.length > 0 ? access.join('; ') : NO_SCOPES}</Fact>}
      {tenant_name !== null && <Fact name="Organisation">{tenant_name}</Fact>}
      <Fact name="Created">
        <Moment at={entry.created_at} now={now} />
      </Fact>
      <Origin entry={entry} />
      <Fact name="Last used">
        {entry.last_used_at === null ? (
          'Never'
        ) : (
          <>
            <Moment at={entry.last_used_at} now={now} />
            {entry.last_used_address !== null && ` from ${entry.last_used_address}`}
          </>
        )}
      </Fact>
      {status !== 'revoked' && (
        <Fact name={status === 'active' ? 'Expires' : 'Expired'}>
          <Moment at={entry.expires_at} now={now} />
        </Fact>
      )}
      {/* a secret works no longer than its key */}
      {previous_until !== null && <OldSecret until={Math.min(previous_until, entry.expires_at)} now={now} />}
    </dl>
  )
}

function Actions({ entry, frame, canRotate }: { entry: Entry; frame: Frame; canRotate: boolean }) {
  const { id, hint } = entry
  const title = `c-${id}`
  if (entry.current)
    return (
      <ActionForm frame={frame} fields={{ id }}>
        <Action name="revoke" text="End this session" />
      </ActionForm>
    )
  return (
    <>
      <ActionForm frame={frame} fields={{ id }} class="buttons">
        <Action name="revoke" text="End" of={title} />
        <Action name="report" text="This was not me" of={title} />
      </ActionForm>
      {canRotate && (
        <details>
          <summary aria-describedby={title}>Replace the secret</summary>
          <ActionForm frame={frame} fields={{ id, hint }}>
            <label for={`o-${id}`}>The old secret</label>
            <select id={`o-${id}`} name="overlap">
              {[...OVERLAPS].map(([seconds, words]) => (
                <option value={seconds}>{words}</option>
              ))}
            </select>
            <Action name="rotate" text="Make a new secret" of={title} />
          </ActionForm>
        </details>
      )}
    </>
  )
}

/** Whether it counts among those that a person may have: one that idled away does, until its end. */
const isCounted = ({ status, expires_at }: Entry, now: number) =>
  status !== 'revoked' && expires_at * 1000 > now

function Card({ entry, frame, now, isOld }: { entry: Entry; frame: Frame; now: number; isOld: boolean }) {
  const { id, kind, name, hint, status, current } = entry
  return (
    <li class={status === 'active' ? undefined : 'over'}>
      <h2 id={`c-${id}`}>{kind === 'browser' ? kindName(entry) : name}</h2>
      <p>
        {kind !== 'browser' && `${kindName(entry)} · `}
        <code>{hint}</code>
        {' · '}
        {status === 'active' ? STATUS.active : <strong>{STATUS[status]}</strong>}
      </p>
      {current && (
        <p>
          <strong>This is what you are using now.</strong>
        </p>
      )}
      <Facts entry={entry} now={now} />
      {isCounted(entry, now) && (
        <Actions entry={entry} frame={frame} canRotate={entry.can_rotate && !isOld} />
      )}
    </li>
  )
}

function EndSeveral({ entries, frame, now }: { entries: readonly Entry[]; frame: Frame; now: number }) {
  const live = entries.filter((entry) => isCounted(entry, now) && !entry.current)
  const hasBrowser = entries.some(({ current }) => current)
  if (live.length === 0) return null
  return (
    <details>
      <summary>End several at once</summary>
      <ActionForm frame={frame} class="stack">
        {live.some(({ kind }) => kind !== 'api_key') && (
          <Action name="revoke_sessions" text="End all other sessions: browsers and apps sign out" />
        )}
        {live.some(({ kind }) => kind === 'api_key') && (
          <Action name="revoke_keys" text="End all keys: programs that use them stop working" />
        )}
        <Action
          name="revoke_all"
          text={`End everything: programs stop working${hasBrowser ? ', this browser signs out' : ''}`}
        />
      </ActionForm>
    </details>
  )
}

function NoticeBox({ notice, frame }: { notice: Notice; frame: Frame }) {
  const { text, isError, offerEnd } = notice
  return (
    <div class="notice" role={isError ? 'alert' : 'status'}>
      <p>{text}</p>
      {offerEnd && (
        <ActionForm frame={frame}>
          <p>If somebody else got in, end the rest too. You stay signed in here.</p>
          <Action name="revoke_others" text="End everything else: programs stop" />
        </ActionForm>
      )}
    </div>
  )
}

/** Shows the list, and on top of it what was just done. */
export function AccountPage(props: {
  page: PageContext
  token: string
  /** In the order to show them. */
  entries: readonly Entry[]
  now: number
  /** Null when the sign-in is too old to make a key. */
  form: KeyFormProps | null
  notice?: Notice | undefined
}) {
  const { page, token, entries, now, form, notice } = props
  const frame = { page, token }
  const query = new URLSearchParams({ next: page.basePath + ACCOUNT.path })
  return (
    <Layout page={page} title={ACCOUNT.text} wide>
      {notice && <NoticeBox notice={notice} frame={frame} />}
      <p>Everything that is signed in as you, or can act as you. End what you do not know or need.</p>
      {form ? (
        <KeyForm {...form} />
      ) : (
        <p>
          You signed in a while ago. To make a key or replace a secret,{' '}
          <a class="plain" href={`${page.basePath}/sign-in?${query}`}>
            sign in again
          </a>
          .
        </p>
      )}
      {entries.length > 0 ? (
        // biome-ignore lint/a11y/noRedundantRoles: Safari takes an unmarked list for no list
        <ul class="cards" role="list">
          {entries.map((entry) => (
            <Card entry={entry} frame={frame} now={now} isOld={form === null} />
          ))}
        </ul>
      ) : (
        <p>There is nothing here yet.</p>
      )}
      <EndSeveral entries={entries} frame={frame} now={now} />
    </Layout>
  )
}
