/**
 * Runs all cases against two servers, inside whatever runtime this is started with, and writes a line of JSON for each.
 * The arguments are base URLs: of the server whose codes live long, of the one whose codes do not, and of those that
 * share the first one's database.
 *
 * @module
 */

import process from 'node:process'
import { inspect } from 'node:util'
import { CASES } from './cases.ts'
import { connect } from './doors.ts'
import type { World } from './world.ts'

const [steady = '', hasty = '', ...others] = process.argv.slice(2)
const first = connect(steady)
const world: World = { steady: first, hasty: connect(hasty), peers: [first, ...others.map(connect)] }

await Promise.all(
  Object.entries(CASES).map(async ([name, run]) => {
    const failure = await run(world).then(
      () => null,
      // with its cause, which tells more when a connection breaks
      (error: unknown) => inspect(error),
    )
    console.log(JSON.stringify({ name, failure }))
  }),
)
