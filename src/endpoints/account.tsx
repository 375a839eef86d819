/** @jsxRuntime automatic */
/** @jsxImportSource hono/jsx */

/** The endpoints of the account page: shown on GET, changed on POST. @module */

import { MANAGE_SCOPE } from '../config.ts'
import type { Params } from '../core/form.ts'
import type { Refusal } from '../core/outcome.ts'
import { cleanLabel } from '../core/text.ts'
import {
  type CredentialSummary,
  createKey,
  KINDS,
  keyScopes,
  listCredentials,
  type Manager,
  personManager,
  revokeAll,
  revokeOwn,
  rotateKey,
} from '../flows/account.ts'
import { findViewer } from '../flows/browser.ts'
import { setCookie } from '../flows/cookies.ts'
import { scopeList } from '../flows/credentials.ts'
import type { Deps } from '../flows/deps.ts'
import { base64url } from '../hash.ts'
import { AccountPage, type Entry, type Notice, OVERLAPS } from '../pages/account.tsx'
import { scopeField } from '../pages/fields.tsx'
import { type KeyFormProps, SecretPage } from '../pages/key_form.tsx'
import { ACCOUNT } from '../pages/layout.tsx'
import { MESSAGES, type Message } from '../pages/message.tsx'
import { formSigner, isOwnForm } from './form_token.ts'
import { pageContext, sendToFreshSignIn, sendToSignIn, showMessage, tickedScopes } from './page.tsx'
import { type AppContext, type Handler, readForm } from './route.ts'

const DAY = 86_400
/** Lifetimes of keys that are offered, in seconds. */
const LIFETIMES = [7 * DAY, 30 * DAY, 90 * DAY, 365 * DAY]
/** The one that is chosen at first. */
const USUAL_LIFETIME = 30 * DAY

/** Somebody who is signed in, at their account page. */
interface Visit {
  readonly deps: Deps
  readonly c: AppContext
  readonly manager: Manager
}

/** What was wrong with the form that makes a key, and what it said. */
interface Retry {
  readonly status: 400 | 403 | 409
  readonly problem: string
  readonly form: Params
}

const accountPath = ({ config }: Deps) => config.basePath + ACCOUNT.path

async function enter(deps: Deps, c: AppContext): Promise<Visit | Response> {
  const viewer = await findViewer(deps, c.env.caller)
  const manager = personManager(deps, viewer)
  if (!('status' in manager)) return { deps, c, manager }
  // a person with neither name nor right to be here is sent to sign in; one who was switched off is told
  if (!viewer) return await sendToSignIn(deps, c, accountPath(deps))
  return await showMessage(deps, c, MESSAGES.user_disabled, viewer.user)
}

function toEntry({ deps: { config }, manager }: Visit, credential: CredentialSummary): Entry {
  const { client_id, tenant, scope } = credential
  return {
    ...credential,
    client_name: client_id === null ? null : (config.clients.get(client_id)?.name ?? client_id),
    access: scopeList(scope).map((token) => config.scopes.get(token) ?? token),
    tenant_name: tenant === null ? null : (manager.tenants.find(({ id }) => id === tenant)?.name ?? tenant),
  }
}

/** The form that makes a key, with an id that lets it make one only. */
function keyForm(visit: Visit, sign: ReturnType<typeof formSigner>, retry: Retry | undefined): KeyFormProps {
  const { deps, manager } = visit
  const { maxKeySeconds, scopes } = deps.config
  const id = base64url(deps.random(16))
  const fitting = LIFETIMES.filter((seconds) => seconds <= maxKeySeconds)
  const lifetimes = fitting.length > 0 ? fitting : [maxKeySeconds]
  const usual = lifetimes.includes(USUAL_LIFETIME) ? USUAL_LIFETIME : (lifetimes[0] ?? maxKeySeconds)
  return {
    action: accountPath(deps),
    hidden: { action: 'create', id, form_token: sign(['account', 'create', id]) },
    lifetimes,
    lifetime: Number(retry?.form.get('expires_in') ?? usual),
    // the one that can do most comes last
    scopes: keyScopes(deps, manager)
      .sort((one, other) => Number(one === MANAGE_SCOPE) - Number(other === MANAGE_SCOPE))
      .map((token) => {
        const ticked = retry?.form.has(scopeField(token)) ?? false
        return { token, words: scopes.get(token) ?? token, ticked }
      }),
    tenants: manager.tenants,
    name: retry?.form.get('name'),
    tenant: retry?.form.get('tenant'),
    problem: retry?.problem,
  }
}

async function showList(
  visit: Visit,
  { status = 200, notice, retry }: { status?: 200 | 404; notice?: Notice; retry?: Retry } = {},
): Promise<Response> {
  const { deps, c, manager } = visit
  const listed = (await listCredentials(deps, manager)).map((credential) => toEntry(visit, credential))
  const isLive = ({ status }: Entry) => status === 'active'
  const sign = formSigner(deps, c, manager.user)
  const props = {
    page: pageContext(deps, manager.user),
    token: sign(['account']),
    entries: [...listed.filter(isLive), ...listed.filter((entry) => !isLive(entry))],
    now: deps.now(),
    form: manager.isOld ? null : keyForm(visit, sign, retry),
    notice,
  }
  return await c.html(<AccountPage {...props} />, retry?.status ?? status)
}

/** `GET /account`: the list. */
export function accountPage(deps: Deps): Handler {
  return async (c) => {
    const visit = await enter(deps, c)
    return visit instanceof Response ? visit : await showList(visit)
  }
}

const showOwn = ({ deps, c, manager }: Visit, message: Message) => showMessage(deps, c, message, manager.user)

const signInAgain = ({ deps, c, manager }: Visit) =>
  sendToFreshSignIn(deps, c, accountPath(deps), manager.user)

/** What to say next to the form when no key was made. */
function createProblem(refusal: Refusal): Omit<Retry, 'form'> {
  switch (refusal.status) {
    case 'invalid_request':
      return { status: 400, problem: `${refusal.description}.` }
    case 'invalid_scope':
      return { status: 400, problem: 'A key cannot be given that access.' }
    case 'too_many_credentials':
      return { status: 409, problem: `You have ${refusal.max} keys, the most there may be. End one first.` }
    case 'not_allowed':
      return { status: 403, problem: 'This service does not let your account have such a key.' }
    default:
      return { status: 400, problem: MESSAGES.bad_request.text }
  }
}

async function create(visit: Visit, form: Params): Promise<Response> {
  const { deps, c, manager } = visit
  const name = cleanLabel(form.get('name')) ?? ''
  const lifetime = form.get('expires_in')
  const outcome = await createKey(deps, c.env.caller, manager, {
    name,
    scope: tickedScopes(form).join(' '),
    expires_in: lifetime === undefined ? undefined : Number(lifetime),
    tenant: form.get('tenant'),
    id: form.get('id'),
  })
  if (outcome.status === 'login_required') return await signInAgain(visit)
  if (outcome.status === 'untrusted_network') return await showOwn(visit, MESSAGES.untrusted_network)
  if (outcome.status === 'rate_limited') return await showOwn(visit, MESSAGES.too_many_changes)
  if (outcome.status === 'conflict') return await showOwn(visit, MESSAGES.made_before)
  if (outcome.status !== 'created')
    return await showList(visit, { retry: { ...createProblem(outcome), form } })
  const { secret, expires_at: expiresAt } = outcome
  const page = pageContext(deps, manager.user)
  const props = { page, name, secret, expiresAt, now: deps.now(), previousUntil: null }
  return await c.html(<SecretPage {...props} title="Your new key" />)
}

const GONE: Notice = {
  text: 'You have no such key or session that is live. Nothing was changed.',
  isError: true,
}

async function nameOf({ deps, manager }: Visit, id: string): Promise<string> {
  return (await listCredentials(deps, manager)).find((one) => one.id === id)?.name ?? 'A key'
}

async function rotate(visit: Visit, form: Params): Promise<Response> {
  const { deps, c, manager } = visit
  const overlap = form.get('overlap') ?? ''
  const hint = form.get('hint')
  if (!OVERLAPS.has(overlap) || hint === undefined) return await showOwn(visit, MESSAGES.bad_account_form)
  const request = { id: form.get('id') ?? '', overlap_seconds: Number(overlap), hint }
  const outcome = await rotateKey(deps, c.env.caller, manager, request)
  if (outcome.status === 'login_required') return await signInAgain(visit)
  if (outcome.status === 'untrusted_network') return await showOwn(visit, MESSAGES.untrusted_network)
  if (outcome.status === 'rate_limited') return await showOwn(visit, MESSAGES.too_many_changes)
  if (outcome.status === 'conflict') return await showOwn(visit, MESSAGES.rotated_before)
  if (outcome.status !== 'rotated') return await showList(visit, { status: 404, notice: GONE })
  const { id, secret, expires_at: expiresAt } = outcome
  const now = deps.now()
  const name = await nameOf(visit, id)
  const previousUntil = Math.min(Math.floor(now / 1000) + request.overlap_seconds, expiresAt)
  const props = { page: pageContext(deps, manager.user), name, secret, expiresAt, now, previousUntil }
  return await c.html(<SecretPage {...props} title="The new secret of your key" />)
}

/** The page after the browser's own session ended. */
async function leave({ deps, c }: Visit, message: Message): Promise<Response> {
  c.header('Set-Cookie', setCookie(deps, 'session', '', 0), { append: true })
  return await showMessage(deps, c, message)
}

async function revoke(visit: Visit, form: Params, report: boolean): Promise<Response> {
  const { deps, c, manager } = visit
  const id = form.get('id') ?? ''
  const { status } = await revokeOwn(deps, c.env.caller, manager, { id, kinds: KINDS.all, report })
  if (status === 'not_found') return await showList(visit, { status: 404, notice: GONE })
  if (id === manager.credentialId) return await leave(visit, MESSAGES.signed_out)
  const text = `Ended: ${await nameOf(visit, id)}. It opens nothing from now on.`
  const notice: Notice = report
    ? { text: `${text} It is recorded that it was not you.`, offerEnd: true }
    : { text }
  return await showList(visit, { notice })
}

/** Ends several: which kinds, and whether the browser that asks is spared. */
const SWEEPS: Readonly<Record<string, { kinds: (typeof KINDS)[keyof typeof KINDS]; sparesOwn: boolean }>> = {
  revoke_sessions: { kinds: KINDS.sessions, sparesOwn: true },
  revoke_keys: { kinds: KINDS.keys, sparesOwn: true },
  revoke_others: { kinds: KINDS.all, sparesOwn: true },
  revoke_all: { kinds: KINDS.all, sparesOwn: false },
}

async function sweep(visit: Visit, { kinds, sparesOwn }: (typeof SWEEPS)[string]): Promise<Response> {
  const { deps, c, manager } = visit
  const except = sparesOwn ? manager.credentialId : null
  const { count } = await revokeAll(deps, c.env.caller, manager.user, { kinds, except })
  if (!sparesOwn && manager.credentialId !== null) return await leave(visit, MESSAGES.ended)
  const text =
    count === 0 ? 'There was nothing to end.' : `Ended: ${count} in all. Nothing opens with them from now on.`
  return await showList(visit, { notice: { text } })
}

/** `POST /account`: one of the actions. */
export function accountAction(deps: Deps): Handler {
  return async (c) => {
    const form = readForm(c)
    if (typeof form === 'string') return await showMessage(deps, c, MESSAGES.bad_account_form)
    const visit = await enter(deps, c)
    if (visit instanceof Response) return visit
    const action = form.get('action') ?? ''
    const purpose =
      action === 'create' ? (['account', 'create', form.get('id') ?? ''] as const) : (['account'] as const)
    if (!isOwnForm(deps, c, visit.manager.user, purpose, form))
      return await showOwn(visit, MESSAGES.foreign_account_form)
    if (action === 'create') return await create(visit, form)
    if (action === 'rotate') return await rotate(visit, form)
    if (action === 'revoke' || action === 'report') return await revoke(visit, form, action === 'report')
    const several = Object.hasOwn(SWEEPS, action) ? SWEEPS[action] : undefined
    return several ? await sweep(visit, several) : await showOwn(visit, MESSAGES.bad_account_form)
  }
}
