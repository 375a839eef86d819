/** `kill -9` at every step between request and answer, and a database that fails there: nobody is stranded. @module */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { PairgateError } from '../src/mod.ts'
import type { FaultPoint, Watch } from './support/faults.ts'
import { type Door, FLOWS, type Flow } from './support/logins.ts'
import {
  type Decision,
  drive,
  newRun,
  openService,
  recover,
  STEPS,
  type Step,
  spawnService,
  type Unanswered,
} from './support/run.ts'

const folder = mkdtempSync(join(tmpdir(), 'pairgate-crash-'))
afterAll(() => rmSync(folder, { recursive: true }))
let serial = 0
const newFile = () => join(folder, `${serial++}.db`)

interface Place {
  readonly flow: Flow
  readonly decision: Decision
  readonly step: Step
  readonly point: FaultPoint
}

const methodOf = ({ point }: Place) => point.split(':')[0] ?? ''

/** Records every place that a clean run passes, with the step it belongs to. */
async function recordPlaces(flow: Flow, decision: Decision): Promise<Place[]> {
  const places: Place[] = []
  let step: Step = 'start'
  const { send, close } = openService(newFile(), (point) => places.push({ flow, decision, step, point }))
  const failed = await drive(newRun(flow, decision), send, (now) => {
    step = now
  })
  if (failed) throw failed
  await close()
  // what both flows and both decisions do alike is broken once
  const isOwn = (at: Step) =>
    decision === 'allow' ? flow === 'device' || at !== 'sign in' : at === 'decide' || at === 'collect'
  const own = places.filter((place) => isOwn(place.step) && methodOf(place) !== 'close')
  return flow === 'device' ? own : own.slice(own.findIndex(({ point }) => point === 'migrate:after:1') + 1)
}

const places = (
  await Promise.all(
    FLOWS.flatMap((flow) => (['allow', 'deny'] as const).map((decision) => recordPlaces(flow, decision))),
  )
).flat()

/** Methods that change what a login is. */
const COMMITS = ['insertGrant', 'insertCredential', 'decideGrant', 'issueCredential']
const isSql = (place: Place | undefined) => place !== undefined && methodOf(place) === 'sql'
const isAfter = ({ point }: Place) => point.includes(':after:')
const title = ({ flow, decision, step, point }: Place) => `${flow} ${decision}, ${step}, ${point}`

test('the places are all there', () => {
  const steps = (flow: Flow, decision: Decision) =>
    new Set(places.filter((p) => p.flow === flow && p.decision === decision).map(({ step }) => step))
  expect(steps('device', 'allow')).toEqual(new Set(STEPS))
  expect(steps('pair', 'allow')).toEqual(new Set(STEPS.filter((step) => step !== 'sign in')))
  for (const flow of FLOWS) {
    expect(steps(flow, 'deny')).toEqual(new Set(['decide', 'collect']))
  }
  const methods =
    'answer migrate readLimits takeLimit releaseLimit insertGrant findGrant decideGrant issueCredential ' +
    'insertCredential findCredential countCredentials upsertUser findUser insertEvent purge sql'
  expect(new Set(places.map(methodOf))).toEqual(new Set(methods.split(' ')))
  expect(places.length).toBeGreaterThan(400)
})

describe('STO-04 kill -9, then a new server on the same file', () => {
  // as far as the file goes, right before a call is right after the one before it, a call is over with its last
  // statement, and reading changes nothing: so these are all the states there are, and some more
  const crashes = places.filter((place, i) => {
    const method = methodOf(place)
    if (method === 'sql')
      return isAfter(place) && isSql(places[i + 1]) && (place.step !== 'start' || i % 3 === 0)
    if (/^(find|read)/.test(method))
      return isAfter(place) && place.flow === 'device' && place.decision === 'allow'
    return isAfter(place) || method === 'answer' || COMMITS.includes(method)
  })
  test('at all of them', () => expect(crashes.length).toBeGreaterThan(80))

  test.concurrent.each(crashes.map((place) => [title(place), place] as const))('%s', async (_, place) => {
    const file = newFile()
    const run = newRun(place.flow, place.decision)
    const crashing = await spawnService(file, place.point)
    const failed = await drive(run, crashing.send)
    expect(await crashing.ended).toBe('SIGKILL')
    // tidying up may outlast the run
    if (failed !== null || methodOf(place) !== 'purge') expect(failed).toMatchObject({ response: null })
    // tidying up goes on after the answer, so its statements may belong to the next step
    if (methodOf(place) !== 'purge' && !isSql(place)) expect(failed).toMatchObject({ step: place.step })
    const isCommit = isAfter(place) && COMMITS.includes(methodOf(place))
    const restarted = isCommit ? await spawnService(file) : openService(file)
    await recover(run, file, restarted)
    await restarted.close()
  })
})

/** Breaks a store at one place, once. */
function failAt(point: FaultPoint, error: Error): Watch {
  return (passed) => {
    if (passed === point) throw error
  }
}

/** What is done for the record or in passing must not stop anybody. */
const BEST_EFFORT = ['insertEvent', 'purge', 'releaseLimit']
const isBestEffort = (place: Place) =>
  BEST_EFFORT.includes(methodOf(place)) || (methodOf(place) === 'findUser' && place.step === 'collect')

describe('OPS-04 a store that fails once', () => {
  const failures = places.filter((place) => methodOf(place) !== 'answer' && !isSql(place))

  /** Lets one login meet the error, then go on at the very same server. */
  async function meet(
    { flow, decision, point }: Place,
    door: Door,
    error: Error,
  ): Promise<Unanswered | null> {
    const file = newFile()
    const run = newRun(flow, decision, door)
    const broken = openService(file, failAt(point, error), true)
    const failed = await drive(run, broken.send)
    broken.statuses.length = 0
    await recover(run, file, broken)
    await broken.close()
    return failed
  }

  describe.each(['form', 'trpc'] as const)('%s', (door) => {
    test.each(failures.map((place) => [title(place), place] as const))(
      'unavailable: %s',
      async (_, place) => {
        const error = new PairgateError('ERR_PAIRGATE_STORE_UNAVAILABLE', 'zzdetail')
        const failed = await meet(place, door, error)
        if (isBestEffort(place)) return expect(failed).toBeNull()
        expect(failed).toMatchObject({ step: place.step, response: { status: 503, retryAfter: '5' } })
        expect(failed?.message).not.toContain('zzdetail')
      },
    )

    const befores = failures.filter((place) => !isAfter(place))
    test.each(befores.map((place) => [title(place), place] as const))(
      'RPC-02 broken: %s',
      async (_, place) => {
        const failed = await meet(place, door, new Error('zzdetail at /home/zz/store.ts'))
        if (isBestEffort(place)) return expect(failed).toBeNull()
        expect(failed).toMatchObject({ step: place.step, response: { status: 500, retryAfter: null } })
        expect(failed?.message).toMatch(/error [\w-]{12}(?![\w-])/)
        expect(failed?.message).not.toMatch(/zzdetail|store\.ts/)
      },
    )
  })

  test('a database that is locked for a moment is not noticed, whichever statement it hits', async () => {
    for (const place of places.filter((one) => isSql(one) && !isAfter(one))) {
      const file = newFile()
      const run = newRun(place.flow, place.decision)
      const broken = openService(file, failAt(place.point, new Error('database is locked')), true)
      const failed = await drive(run, broken.send)
      expect([title(place), failed]).toEqual([title(place), null])
      expect([title(place), run.outcome?.status]).toEqual([
        title(place),
        place.decision === 'allow' ? 'issued' : 'access_denied',
      ])
      await broken.close()
    }
  })

  test.each(['decideGrant', 'issueCredential'])(
    'STO-04 %s that went through, but seemed not to, counts once',
    async (method) => {
      for (const [i, place] of places.entries()) {
        const last = places[i - 1]
        if (place.point !== `${method}:after:1` || !last) continue
        const file = newFile()
        const run = newRun(place.flow, place.decision)
        const broken = openService(file, failAt(last.point, new Error('database is locked')), true)
        expect(await drive(run, broken.send)).toBeNull()
        await recover(run, file, broken)
        await broken.close()
      }
    },
  )
})
