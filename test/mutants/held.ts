/** Mutants of polls that are held, and of the sockets that they sit on. @module */

import type { Mutant } from './mutant.ts'

/** All of them. */
export const heldMutants: readonly Mutant[] = [
  {
    id: 'DF-12',
    file: 'src/flows/collect.ts',
    from: 'deps.held.has(grant.id) ? now : ',
    to: '',
    test: 'test/held.test.ts',
  },
  {
    id: 'DF-12',
    file: 'src/flows/collect.ts',
    from: 'if (!isHeld) deps.recent.note(grant.id, now)',
    to: 'deps.recent.note(grant.id, now)',
    test: 'test/held.test.ts',
  },
  {
    id: 'DF-19',
    file: 'src/flows/held.ts',
    from: ', (until - now()) / 1000)',
    to: ')',
    test: 'test/held.test.ts',
  },
  {
    id: 'RPC-08',
    file: 'src/flows/held.ts',
    from: 'held.size >= heldTotal ||',
    to: '',
    test: 'test/held.test.ts',
  },
  {
    id: 'RPC-08',
    file: 'src/flows/held.ts',
    from: ' || (perAddress.get(bucket) ?? 0) >= heldPerAddress',
    to: '',
    test: 'test/held.test.ts',
  },
  {
    id: 'RPC-08',
    file: 'src/flows/held.ts',
    from: 'if (performance.now() < next) return',
    to: '',
    test: 'test/held.test.ts',
  },
  {
    id: 'RPC-08',
    file: 'src/flows/held.ts',
    from: 'Math.min(seconds, MAX_WAIT, (until - now()) / 1000)',
    to: 'Math.min(seconds, (until - now()) / 1000)',
    test: 'test/held.test.ts',
  },
  {
    id: 'OPS-02',
    file: 'adapters/node.ts',
    from: 'if (count >= PER_ADDRESS) {',
    to: 'if (count < 0) {',
    test: 'test/held_sockets.test.ts',
  },
]
