/** The pages: server-rendered, no script needed, nothing decided on a GET. @module */

import type { Deps } from '../flows/deps.ts'
import { ACCOUNT } from '../pages/layout.tsx'
import { MESSAGES } from '../pages/message.tsx'
import { accountAction, accountPage } from './account.tsx'
import { showMessage } from './page.tsx'
import { deviceDecision, devicePage, pairDecision, pairPage } from './review.tsx'
import { type Handler, type Methods, type Mount, route } from './route.ts'
import { devSignInForm, providerCallback, providerStart, signInPage, signOutForm } from './sign_in.tsx'

const wrongMethod =
  (deps: Deps): Handler =>
  (c) =>
    showMessage(deps, c, { ...MESSAGES.bad_request, status: 405, text: 'This page cannot be used that way.' })

/** Adds every page. */
export function addPages(deps: Deps, mount: Mount): void {
  const { basePath } = deps.config
  const add = (path: string, methods: Methods) =>
    route(deps, mount, basePath + path, methods, wrongMethod(deps))
  const home: Methods = { GET: (c) => c.redirect(`${basePath}/device`, 302) }
  add('/', home)
  if (basePath) add('', home)
  add('/device', { GET: devicePage(deps), POST: deviceDecision(deps) })
  add('/oauth/device/verify', {
    GET: (c) => c.redirect(`${basePath}/device${new URL(c.req.url).search}`, 302),
  })
  add('/pair/:paircode', { GET: pairPage(deps), POST: pairDecision(deps) })
  add(ACCOUNT.path, { GET: accountPage(deps), POST: accountAction(deps) })
  add('/sign-in', { GET: signInPage(deps) })
  add('/sign-in/dev', { POST: devSignInForm(deps) })
  add('/sign-in/:provider', { GET: providerStart(deps) })
  add('/sign-in/callback/:provider', { GET: providerCallback(deps) })
  add('/sign-out', { POST: signOutForm(deps) })
}
