/** Measures pairgate beside others: `npm run bench`. @module */

import { floor } from './contenders/floor.ts'
import { pairgate } from './contenders/pairgate.ts'
import { measureRequests, run } from './measure.ts'

const all = []
for (const contender of [pairgate('pairgate'), floor]) all.push(await run(contender))
try {
  const figures = await measureRequests(all, new Set(['A', 'B', 'C', 'D']), { rounds: 3, seconds: 1, warmUp: 1 })
  for (const [job, of] of figures)
    console.log(job, [...of].map(([n, { cpu, rate }]) => `${n} ${cpu.toFixed(0)}us ${rate.toFixed(0)}/s`).join('  '))
} finally {
  for (const { server } of all) await server.stop()
}
