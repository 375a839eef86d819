/** The reverse proxies that ask pairgate, from Debian, with the configurations that the documentation has. @module */

import { existsSync } from 'node:fs'
import { chown, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { bring, environmentOf } from './debian.ts'
import { accepts, createGuarded, findFreePorts } from './guarded.ts'
import { ROOT } from './runtimes.ts'

/** A proxy that is tested. */
export type ProxyName = 'nginx' | 'caddy' | 'haproxy'

/** All of them. */
export const PROXIES: readonly ProxyName[] = ['nginx', 'caddy', 'haproxy']

/** Where pairgate and the backend listen, on 127.0.0.1. */
export interface Behind {
  readonly pairgate: number
  readonly backend: number
}

/** A running proxy. */
export interface RunningProxy {
  readonly port: number
  /** What it has written so far. */
  output(): string
  /** Ends it for good, and its connections with it. */
  stop(): Promise<void>
}

interface Kind {
  readonly packageName: string
  readonly program: string
  /** The language of the block in the documentation. */
  readonly language: string
  /** Texts of the configuration that are replaced, beside the addresses. */
  readonly replaced?: readonly (readonly [string, string])[]
  /** What stands before it. */
  readonly before?: string
  /** Files of the documentation that it takes. */
  readonly beside?: readonly string[]
  /** Arguments, given the configuration's file. */
  readonly args: (config: string) => readonly string[]
}

/** Without any rights nginx can write to its own folder only: names of files have no other place than the configuration. */
const NGINX_FILES = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  .map((name) => `${name}_temp_path ${name};`)
  .join(' ')

const KINDS: Readonly<Record<ProxyName, Kind>> = {
  nginx: {
    packageName: 'nginx',
    program: 'usr/sbin/nginx',
    language: 'nginx',
    replaced: [['http {', `http { access_log off; ${NGINX_FILES}`]],
    args: (config) => ['-p', '.', '-e', 'stderr', '-c', config, '-g', 'daemon off; pid nginx.pid;'],
  },
  caddy: {
    packageName: 'caddy',
    program: 'usr/bin/caddy',
    language: 'caddyfile',
    // its address is one for all instances of a machine
    before: '{\n\tadmin off\n}\n',
    args: (config) => ['run', '--adapter', 'caddyfile', '--config', config],
  },
  haproxy: {
    packageName: 'haproxy',
    program: 'usr/sbin/haproxy',
    language: 'haproxy',
    replaced: [['/etc/haproxy/pairgate.lua', 'pairgate.lua']],
    beside: ['pairgate.lua'],
    args: (config) => ['-db', '-f', config],
  },
}

/**
 * Finds a proxy, or brings it from Debian.
 *
 * @returns The root folder that has it. Rejects when it cannot be had.
 */
export async function findProxy(name: ProxyName): Promise<string> {
  const { packageName, program } = KINDS[name]
  return existsSync(join('/', program)) ? '' : await bring([packageName])
}

/** Reads the configuration that the documentation has: the one block in its language. */
export async function documentedConfig(name: ProxyName): Promise<string> {
  const page = await readFile(join(ROOT, `docs/gateways/${name}.md`), 'utf8')
  const blocks = [...page.matchAll(/^```(\w+)\n(.*?)^```$/gms)].filter(
    ([, language]) => language === KINDS[name].language,
  )
  if (blocks.length !== 1) throw new Error(`Expected one configuration of ${name}, found ${blocks.length}`)
  return blocks[0]?.[2] ?? ''
}

function replaceAll(config: string, pairs: readonly (readonly [string, string])[]): string {
  return pairs.reduce((text, [from, to]) => {
    if (!text.includes(from)) throw new Error(`Expected ${from} in the configuration`)
    return text.replaceAll(from, to)
  }, config)
}

/**
 * Starts a proxy with the configuration that the documentation has; only addresses and places of files are others. It
 * ends with this process, or with {@link RunningProxy.stop}.
 *
 * @param root What {@link findProxy} found.
 * @returns Once its port accepts connections. Rejects with its output when it ends before.
 */
export async function startProxy(name: ProxyName, root: string, behind: Behind): Promise<RunningProxy> {
  const { program, before = '', replaced = [], beside = [], args } = KINDS[name]
  const [port = 0] = await findFreePorts(1)
  const config = replaceAll(await documentedConfig(name), [
    ...(name === 'haproxy' ? [] : [['127.0.0.1:8787', `127.0.0.1:${behind.pairgate}`] as const]),
    ['127.0.0.1:9000', `127.0.0.1:${behind.backend}`],
    ['8080', String(port)],
    ...replaced,
  ])
  const runAs = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : undefined
  const guarded = createGuarded(name, runAs)
  const write = async (file: string, text: string) => {
    const path = join(guarded.folder, file)
    await writeFile(path, text)
    // the checkout may be where only its owner reads
    if (runAs) await chown(path, runAs.uid, runAs.gid)
  }
  try {
    await write('config', before + config)
    for (const file of beside) {
      const text = await readFile(join(ROOT, 'docs/gateways', file), 'utf8')
      await write(file, replaceAll(text, [['127.0.0.1:8787', `127.0.0.1:${behind.pairgate}`]]))
    }
    const { folder } = guarded
    guarded.start([join('/', root, program), ...args('config')], {
      ...environmentOf(root),
      HOME: folder,
    })
    await guarded.until(() => accepts(port))
  } catch (error) {
    await guarded.remove()
    throw error
  }
  return { port, output: guarded.output, stop: guarded.remove }
}
