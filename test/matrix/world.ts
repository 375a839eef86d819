/** What the end-to-end cases have to work with, and what they are. @module */

import { FLOWS, type Flow } from '../support/logins.ts'
import type { Site } from './doors.ts'

/** Two servers. */
export interface World {
  /** Its codes live for as long as people need. */
  readonly steady: Site
  /** Its codes live for a few seconds. */
  readonly hasty: Site
  /** All that share the database of {@link World.steady}, and so are one service with it. */
  readonly peers: readonly [Site, ...Site[]]
}

/** What is tried, by name; all at once. */
export type Cases = Readonly<Record<string, (world: World) => Promise<void>>>

/** The same for both flows. */
export function forFlows(
  ids: Readonly<Record<Flow, string>>,
  title: string,
  run: (world: World, flow: Flow) => Promise<void>,
): Cases {
  const entries = FLOWS.map((flow) => [`${ids[flow]} ${flow}: ${title}`, (world: World) => run(world, flow)])
  return Object.fromEntries(entries)
}
