/** @jsxRuntime automatic */
/** @jsxImportSource hono/jsx */

/** Pages that only say something: done, denied, expired, used, errors. @module */

import { ACCOUNT, Layout, type PageContext } from './layout.tsx'

/** What is said, and under which HTTP status. */
export interface Message {
  readonly status: 200 | 400 | 401 | 403 | 404 | 405 | 409 | 410 | 413 | 429 | 500 | 502 | 503
  readonly title: string
  readonly text: string
  /** Where to go from here, under the mount. */
  readonly link?: { readonly path: string; readonly text: string }
}

const again = { path: '/device', text: 'Type a code' } as const

/** Every message, by what happened. */
export const MESSAGES = {
  approved: {
    status: 200,
    title: 'Allowed',
    text: 'Go back to your terminal: it signs in by itself. You may close this page. You can end this login at any time.',
    link: ACCOUNT,
  },
  denied: {
    status: 200,
    title: 'Denied',
    text: 'Nothing was signed in, and the request is over. You may close this page.',
  },
  not_found: {
    status: 404,
    title: 'Not a login we know',
    text: 'This link is wrong or long over. Start again in your terminal.',
  },
  expired: {
    status: 410,
    title: 'Too late',
    text: 'This request has expired. Start again in your terminal.',
  },
  already_decided: {
    status: 409,
    title: 'Already answered',
    text: 'This request was allowed or denied before, and the first answer stays. If that was not you, tell whoever runs this service.',
  },
  already_approved: {
    status: 409,
    title: 'You allowed this',
    text: 'You can close this page and go back to your terminal. If nothing happens there, start again. You can end this login at any time.',
    link: ACCOUNT,
  },
  already_denied: {
    status: 409,
    title: 'You denied this',
    text: 'Nothing was signed in. Close this page, or start again in your terminal.',
  },
  rate_limited: {
    status: 429,
    title: 'Too many tries',
    text: 'Too many codes were wrong. Wait some minutes, then start again in your terminal.',
  },
  too_many_changes: {
    status: 429,
    title: 'Too many keys at once',
    text: 'Nothing was changed. Try again in some minutes.',
    link: ACCOUNT,
  },
  user_disabled: {
    status: 403,
    title: 'Account disabled',
    text: 'This account may not sign in here. Ask whoever runs this service.',
  },
  foreign_form: {
    status: 403,
    title: 'This form is no longer good',
    text: 'It is too old, or came from another site. Nothing was changed. Open the link in your terminal again.',
    link: again,
  },
  foreign_account_form: {
    status: 403,
    title: 'This form is no longer good',
    text: 'It is too old, or came from another site. Nothing was changed.',
    link: ACCOUNT,
  },
  untrusted_network: {
    status: 403,
    title: 'Not from this network',
    text: 'This service allows logins only from its own networks. Nothing was allowed.',
  },
  not_allowed: {
    status: 403,
    title: 'Not for this account',
    text: 'This service does not let your account have what the app asked for. Nothing was allowed. Stop the command in your terminal (Ctrl-C).',
  },
  made_before: {
    status: 409,
    title: 'This key was made already',
    text: 'The form came twice. Its secret was shown the first time; if you did not see it, end the key and make another.',
    link: ACCOUNT,
  },
  rotated_before: {
    status: 409,
    title: 'This secret was replaced already',
    text: 'The new one was shown then; if you did not see it, replace it once more.',
    link: ACCOUNT,
  },
  signed_out: {
    status: 200,
    title: 'Signed out',
    text: 'This browser is signed out.',
    link: { path: '/sign-in', text: 'Sign in' },
  },
  ended: {
    status: 200,
    title: 'Everything is ended',
    text: 'All your keys and sessions are over, and this browser is signed out.',
    link: { path: '/sign-in', text: 'Sign in' },
  },
  bad_request: {
    status: 400,
    title: 'That did not make sense',
    text: 'The address or form is malformed. Nothing was changed.',
    link: again,
  },
  bad_account_form: {
    status: 400,
    title: 'That did not make sense',
    text: 'The form is malformed. Nothing was changed.',
    link: ACCOUNT,
  },
  sign_in_first: {
    status: 401,
    title: 'Sign in first',
    text: 'Sign in to this service as you always do, then open this page or the link from your terminal again.',
  },
  sign_in_expired: {
    status: 400,
    title: 'Sign-in was interrupted',
    text: 'It took too long, was finished before, or began in another browser. Please sign in again.',
    link: { path: '/sign-in', text: 'Sign in' },
  },
  no_such_page: { status: 404, title: 'No such page', text: 'There is nothing here.', link: again },
} as const satisfies Record<string, Message>

/** A login that there is no room for, since the person has so many. */
export function tooMany(flow: 'device' | 'pair', max: number): Message {
  const what = flow === 'device' ? 'API keys' : 'sessions of command-line apps'
  return {
    status: 409,
    title: 'Too many already',
    text: `You have ${max} ${what}, the most there may be. Nothing was allowed. End one, then open the link from your terminal again.`,
    link: ACCOUNT,
  }
}

/** What takes a fresh sign-in, where the gateway signs people in. */
export function signInAgain(next: string): Message {
  return {
    status: 401,
    title: 'Sign in again',
    text: 'You signed in too long ago for this. Nothing was changed.',
    link: { path: `/sign-in?${new URLSearchParams({ next })}`, text: 'Sign in' },
  }
}

/** A page with a message. */
export function MessagePage({ page, message }: { page: PageContext; message: Message }) {
  return (
    <Layout page={page} title={message.title}>
      <p>{message.text}</p>
      {message.link && (
        <a class="button" href={page.basePath + message.link.path}>
          {message.link.text}
        </a>
      )}
    </Layout>
  )
}
