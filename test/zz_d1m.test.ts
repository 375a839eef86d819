import { test } from 'vitest'
import { d1Databases } from '/work/main/test/support/databases.ts'
test('x', async () => {
  const p = await d1Databases(); const d = await p.create(); const s = d.open(); await s.migrate()
  let t = performance.now()
  for (let i=0;i<50;i++) await s.findUser('x')
  console.log('serial read ms', (performance.now()-t)/50)
  t = performance.now()
  for (let i=0;i<50;i++) await s.upsertUser({id:'a'.repeat(63)+(i%10), issuer:'i', subject:'s'+(i%10), name:null,email:null}, 5)
  console.log('serial write ms', (performance.now()-t)/50)
  t = performance.now()
  await Promise.all(Array.from({length:50},()=>s.findUser('x')))
  console.log('parallel read ms', (performance.now()-t)/50)
  await p.remove()
})
