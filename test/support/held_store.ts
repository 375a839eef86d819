/** A store whose calls can be held up, as by a slow network: before their work, or between the work and its answer. @module */

import type { Store } from '../../src/mod.ts'

/** A call that is being held up. */
export interface Held {
  /** Resolves once it has come to where it waits. */
  readonly reached: Promise<void>
  /** Lets it go on; with an error, it rejects with that after its work. */
  release(error?: Error): void
}

/** A store over another one, and the way to hold its calls up. */
export interface HeldStore {
  readonly store: Store
  /** Holds up the next call of a method. */
  hold(method: keyof Store, where: 'before' | 'after'): Held
}

/** Makes one. */
export function holdStore(inner: Store): HeldStore {
  const waiting = new Map<string, (work: () => Promise<unknown>) => Promise<unknown>>()
  const store = new Proxy(inner, {
    get(target, name: keyof Store & string) {
      const method = target[name] as (...args: unknown[]) => Promise<unknown>
      return (...args: unknown[]) => {
        const work = () => method.apply(target, args)
        const wait = waiting.get(name)
        waiting.delete(name)
        return wait ? wait(work) : work()
      }
    },
  })
  return {
    store,
    hold(method, where) {
      const reached = Promise.withResolvers<void>()
      const released = Promise.withResolvers<Error | undefined>()
      waiting.set(method, async (work) => {
        const early = where === 'after' ? await work() : undefined
        reached.resolve()
        const error = await released.promise
        const result = where === 'before' ? await work() : early
        if (error) throw error
        return result
      })
      return { reached: reached.promise, release: released.resolve }
    },
  }
}
