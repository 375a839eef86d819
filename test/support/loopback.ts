/** Logins with the delivery `loopback`: started, answered, and what the browser then brings to the CLI. @module */

import { expect } from 'vitest'
import { BASE, startPair, type TestBrowser, type TestGate } from './gate.ts'
import { type Answer, call, pageHeaders } from './logins.ts'

/** Where the CLI of these tests listens, and what it wants to see again. */
export const LOOPBACK = { delivery: 'loopback', port: '49152', state: 'Az09._~-state' }

/** Starts a login with the delivery `loopback`. */
export const startLoopback = (t: TestGate, form: Record<string, string> = {}, address?: string) =>
  startPair(t, { ...LOOPBACK, ...form }, address)

/** A person who is signed in. */
export async function personNamed(t: TestGate, name: string, address?: string): Promise<TestBrowser> {
  const person = t.browser(address)
  await person.signIn(name)
  return person
}

/** What a URL for the CLI's listener says; its address must be that of the tests, and so the server that it is of. */
export function readCallback(url: string | null): Record<string, string> {
  const { origin, pathname, search, hash } = new URL(url ?? '')
  expect([origin, pathname, hash]).toEqual(['http://127.0.0.1:49152', '/callback', ''])
  const parameters = [...new URLSearchParams(search)]
  expect(new Set(parameters.map(([name]) => name)).size).toBe(parameters.length)
  const { iss, ...rest } = Object.fromEntries(parameters)
  expect(iss).toBe(BASE)
  return rest
}

/** Allows by the page; the code that the browser is sent to the CLI with. */
export async function allow(person: TestBrowser, link: string): Promise<string> {
  const response = await person.decide(link, 'allow')
  expect([response.status, await response.text()]).toEqual([303, ''])
  const { code = '', ...rest } = readCallback(response.headers.get('location'))
  expect(rest).toEqual({ state: LOOPBACK.state })
  expect(code).toMatch(/^[A-Za-z0-9_-]{43}$/)
  return code
}

/** Calls a procedure, with input of any kind, as a program does or as the page of a person. */
export async function callProcedure(
  t: TestGate,
  path: string,
  input: object,
  person?: TestBrowser,
): Promise<Answer> {
  const headers = person && pageHeaders(person, BASE)
  return await call((to, init) => t.fetch(to, init), path, input as Record<string, string>, headers)
}
