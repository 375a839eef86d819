/** Three pairgates behind HAProxy, as examples/cluster has it: real processes that can be killed. @module */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { accepts, createGuarded, findFreePorts, type Guarded } from '../support/guarded.ts'
import { startHaproxy } from '../support/haproxy.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const SECRET = 'a-secret-that-all-instances-share'
const MANY = 1_000_000
/** Nobody is refused for asking often. */
const CONFIG = {
  pollSeconds: 1,
  limits: { startPerMinute: MANY, pendingPerAddress: MANY, pendingTotal: MANY },
}

/** One pairgate process. */
export interface Instance {
  /** Where it listens, without the balancer. */
  readonly address: string
  kill(): Promise<void>
  /** Starts it again. Resolves once it listens. */
  start(): Promise<void>
  output(): string
}

/** What people reach. */
export interface Service {
  readonly base: string
  readonly instances: readonly Instance[]
  stop(): Promise<void>
}

async function startInstance(
  guarded: Guarded,
  port: number,
  env: Readonly<Record<string, string>>,
): Promise<void> {
  const command = [
    process.execPath,
    join(ROOT, 'node_modules/tsx/dist/cli.mjs'),
    join(ROOT, 'examples/serve.ts'),
  ]
  guarded.start(command, { ...process.env, PORT: String(port), ...env })
  await guarded.until(() => accepts(port))
}

/**
 * Starts the service.
 *
 * @param databaseUrls The `DATABASE_URL` of each instance.
 */
export async function startService(databaseUrls: readonly [string, string, string]): Promise<Service> {
  const [balancer = 0, ...ports] = await findFreePorts(4)
  const base = `http://127.0.0.1:${balancer}`
  const guards = ports.map((_, i) => createGuarded(`instance-${i + 1}`))
  const instances = guards.map((guarded, i): Instance => {
    const port = ports[i] ?? 0
    const config = join(guarded.folder, 'config.json')
    writeFileSync(config, JSON.stringify(CONFIG))
    const env = {
      PAIRGATE_BASE_URL: base,
      PAIRGATE_SECRET: SECRET,
      PAIRGATE_TRUSTED_PROXIES: '127.0.0.1/32',
      PAIRGATE_CONFIG: config,
      PAIRGATE_LOG: 'json',
      DATABASE_URL: databaseUrls[i] ?? '',
    }
    return {
      address: `127.0.0.1:${port}`,
      kill: () => guarded.end('SIGKILL'),
      start: () => startInstance(guarded, port, env),
      output: guarded.output,
    }
  })
  const stop = async () => {
    await haproxy?.stop()
    await Promise.all(guards.map((guarded) => guarded.remove()))
  }
  let haproxy: Awaited<ReturnType<typeof startHaproxy>> | undefined
  try {
    await Promise.all(instances.map((instance) => instance.start()))
    const [ONE = '', TWO = '', THREE = ''] = instances.map(({ address }) => address)
    const config = join(ROOT, 'examples/cluster/haproxy.cfg')
    haproxy = await startHaproxy(config, { PORT: String(balancer), ONE, TWO, THREE }, balancer)
    return { base, instances, stop }
  } catch (error) {
    await stop()
    throw error
  }
}
