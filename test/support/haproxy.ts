/** HAProxy in front of what a test has started. @module */

import { existsSync } from 'node:fs'
import { chown, copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { bring, environmentOf } from './debian.ts'
import { accepts, createGuarded } from './guarded.ts'

/** A running HAProxy. */
export interface Haproxy {
  /** What it has written so far. */
  output(): string
  /** Ends it for good, and its connections with it. */
  stop(): Promise<void>
}

/**
 * Starts HAProxy without any rights. It ends with this process, or with {@link Haproxy.stop}.
 *
 * @param configFile The configuration; it may name the environment's variables.
 * @param env These variables.
 * @param port A port that the configuration listens on, on 127.0.0.1.
 * @returns Once the port accepts connections. Rejects with its output when it ends before.
 */
export async function startHaproxy(
  configFile: string,
  env: Readonly<Record<string, string>>,
  port: number,
): Promise<Haproxy> {
  const root = existsSync('/usr/sbin/haproxy') ? '' : await bring(['haproxy'])
  const runAs = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : undefined
  const guarded = createGuarded('haproxy', runAs)
  try {
    // the checkout may be where only its owner reads
    const config = join(guarded.folder, 'haproxy.cfg')
    await copyFile(configFile, config)
    if (runAs) await chown(config, runAs.uid, runAs.gid)
    guarded.start([`${root}/usr/sbin/haproxy`, '-db', '-f', config], { ...environmentOf(root), ...env })
    await guarded.until(() => accepts(port))
  } catch (error) {
    await guarded.remove()
    throw error
  }
  return { output: guarded.output, stop: guarded.remove }
}
