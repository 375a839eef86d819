/** A Secret Service of the tests' own: gnome-keyring on a D-Bus of its own, from Debian, with a password that is known. @module */

import { existsSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemKeyring } from '../../clients/keyring.ts'
import { bring, environmentOf } from './debian.ts'
import { createGuarded, type Guarded } from './guarded.ts'

const PACKAGES = { 'dbus-daemon': 'dbus-daemon', 'gnome-keyring-daemon': 'gnome-keyring' }

/** A bus for whoever can reach its socket, that starts nothing by itself but what is in its folder. */
const configOf = (
  folder: string,
) => `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
  "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=${folder}/bus</listen>
  <servicedir>${folder}/services</servicedir>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
`

/** The one who shows a window for the password: it never does. */
const PROMPTER = '[D-BUS Service]\nName=org.gnome.keyring.SystemPrompter\nExec=/bin/sleep 30\n'

/** A running Secret Service. */
export interface SecretService {
  /** What leads to it. */
  readonly env: { readonly DBUS_SESSION_BUS_ADDRESS: string; readonly XDG_RUNTIME_DIR: string }
  /** Starts it anew: unlocked; locked with nobody there to ask for the password; or asking somebody who does not answer. */
  restart(state: 'unlocked' | 'locked' | 'asking'): Promise<void>
  /** Makes it stop answering, and answer again. */
  freeze(): void
  thaw(): void
  stop(): Promise<void>
}

/** Finds the programs, or brings them from Debian. Resolves to the root folder that has them. */
async function findPrograms(): Promise<string> {
  const isHere = Object.keys(PACKAGES).every((program) => existsSync(join('/usr/bin', program)))
  return isHere ? '' : await bring(Object.values(PACKAGES))
}

async function startBus(bus: Guarded, root: string): Promise<void> {
  const config = join(bus.folder, 'bus.conf')
  await writeFile(config, configOf(bus.folder))
  await mkdir(join(bus.folder, 'services'))
  const program = join('/', root, 'usr/bin/dbus-daemon')
  bus.start([program, '--nofork', '--nosyslog', `--config-file=${config}`], environmentOf(root))
  await bus.until(async () => existsSync(join(bus.folder, 'bus')))
}

/**
 * Starts it, in this process's environment too. Everything of it ends with this process, or with
 * {@link SecretService.stop}.
 */
export async function startSecretService(): Promise<SecretService> {
  const root = await findPrograms()
  const bus = createGuarded('dbus')
  const daemon = createGuarded('keyring')
  const { folder } = daemon
  const env = { DBUS_SESSION_BUS_ADDRESS: `unix:path=${bus.folder}/bus`, XDG_RUNTIME_DIR: folder }
  const before = { ...process.env }
  Object.assign(process.env, env)

  const restart: SecretService['restart'] = async (state) => {
    await daemon.end('SIGKILL')
    await writeFile(join(folder, 'password'), 'correct horse')
    const prompter = join(bus.folder, 'services', 'prompter.service')
    if (state === 'asking') await writeFile(prompter, PROMPTER)
    else await rm(prompter, { force: true })
    const unlock = state === 'unlocked' ? ['--unlock'] : []
    const settings = ['--foreground', '--components=secrets', `--control-directory=${folder}`, ...unlock]
    const program = join('/', root, 'usr/bin/gnome-keyring-daemon')
    daemon.start(['sh', '-c', 'exec "$0" "$@" < password', program, ...settings], {
      ...environmentOf(root),
      ...env,
      HOME: folder,
      XDG_DATA_HOME: join(folder, 'data'),
      GSETTINGS_BACKEND: 'memory',
    })
    const isThere = async () =>
      await systemKeyring()
        .get('pairgate-test', 'nobody')
        .then(() => true)
        .catch(() => false)
    await daemon.until(isThere)
  }
  const stop = async () => {
    for (const name of Object.keys(env)) delete process.env[name]
    Object.assign(process.env, before)
    await daemon.remove()
    await bus.remove()
  }
  try {
    await startBus(bus, root)
    await restart('unlocked')
  } catch (error) {
    await stop()
    throw error
  }
  return {
    env,
    restart,
    freeze: () => void process.kill(daemon.pid, 'SIGSTOP'),
    thaw: () => void process.kill(daemon.pid, 'SIGCONT'),
    stop,
  }
}
