/** The account page for tests: reads its rows, presses its buttons. @module */

import type { TestBrowser, TestGate } from './gate.ts'

/** Options of a gate in which a person may give scopes, and an app may ask for them. */
export const ACCOUNT_OPTIONS = {
  clients: { tool: { name: 'Tool One', scopes: ['read', 'write', 'offline_access'] } },
  scopes: { read: 'Read everything', write: 'Change <things>' },
}

/** The fields that tie a form of the page to the person: of the list, and of the form that makes a key. */
export interface AccountForms {
  readonly html: string
  /** For everything but making a key. */
  readonly token: string
  /** What making a key needs. */
  readonly create: Record<'action' | 'id' | 'form_token', string>
}

function hiddenFields(form: string): Record<string, string> {
  const inputs = form.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)"/g)
  return Object.fromEntries([...inputs].map(([, name = '', value = '']) => [name, value]))
}

/** Reads the forms of an account page. */
export function readAccount(html: string): AccountForms {
  const forms = [...html.matchAll(/<form[^>]*action="[^"]*\/account".*?<\/form>/gs)].map(([form]) =>
    hiddenFields(form),
  )
  const create = forms.find(({ action }) => action === 'create') as AccountForms['create']
  const token = forms.find(({ action }) => action === undefined)?.form_token ?? ''
  return { html, create, token }
}

/** Opens the page. */
export async function openAccount(person: TestBrowser): Promise<AccountForms> {
  return readAccount(await (await person.get('/account')).text())
}

/** One row of the list, by a part of its heading, as it is read. */
export function rowOf(html: string, name: string): string {
  const row = html.split('<li').find((part) => /<h2[^>]*>([^<]*)/.exec(part)?.[1]?.includes(name)) ?? ''
  return row
    .replace(/<\/li>.*/s, '')
    .replace(/^[^>]*>/, '')
    .replace(/<[^>]+>/g, ' ')
    .replace(/\s+/g, ' ')
}

/** An answer and its page. */
export interface Shown {
  readonly status: number
  readonly html: string
}

/** Sends a form of the page. */
export async function send(person: TestBrowser, fields: Record<string, string>): Promise<Shown> {
  const response = await person.post('/account', fields)
  return { status: response.status, html: await response.text() }
}

/** Does something to a row, from a page that was opened just now. */
export async function act(
  person: TestBrowser,
  action: string,
  fields: Record<string, string> = {},
): Promise<Shown> {
  const { token } = await openAccount(person)
  return await send(person, { form_token: token, action, ...fields })
}

/** Sends the form that makes a key. */
export async function makeKey(
  person: TestBrowser,
  fields: Record<string, string> = {},
): Promise<Shown & { secret: string }> {
  const { create } = await openAccount(person)
  const shown = await send(person, { ...create, name: 'nightly', ...fields })
  return { ...shown, secret: secretIn(shown.html) }
}

/** The secret that a page shows; empty when there is none. */
export function secretIn(html: string): string {
  return /\bpgk_[0-9A-Za-z]{49}\b/.exec(html)?.[0] ?? ''
}

/** Ids and hints of credentials by kind, the latest last. */
export function credentialsOf(
  t: TestGate,
  kind: 'api_key' | 'session' | 'browser',
): Record<string, string>[] {
  const rows = t.rows('SELECT id, hint, name FROM credentials WHERE kind = ? ORDER BY rowid', kind)
  return rows as Record<string, string>[]
}
