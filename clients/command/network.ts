/**
 * The way to the server that the environment names: proxies and certificates. Deno and Bun take that up by themselves,
 * Node only when it is told to.
 *
 * @module
 */

import process from 'node:process'
import type { LoginError } from '../errors.ts'
import type { Surroundings } from '../transport.ts'

type Environment = Surroundings['env']

/** Where no proxy belongs: a credential would leave this machine, in clear text. */
const HERE = ['localhost', '127.0.0.1', '::1', '[::1]']

/** Reads a variable that is written in small letters or in capitals; the small ones win, as with curl. */
function read(env: Environment, name: string): string | undefined {
  return env[name] || env[name.toUpperCase()] || undefined
}

/** The proxies that are asked for, as URLs, each with its variable. */
function findProxies(env: Environment): { readonly variable: string; readonly url: string }[] {
  return ['https_proxy', 'http_proxy'].flatMap((variable) => {
    const value = read(env, variable)
    // curl takes a bare host and port too
    return value ? [{ variable, url: /^[a-z][a-z\d+.-]*:\/\//i.test(value) ? value : `http://${value}` }] : []
  })
}

/** What NO_PROXY has to be, so that this machine is left out. Said of its own result, it is the same again. */
function noProxy(env: Environment, server: string | undefined): string {
  const given = (read(env, 'no_proxy') ?? '').split(/[\s,]+/).filter(Boolean)
  if (given.includes('*')) return '*'
  const host = server && URL.canParse(server) ? new URL(server).hostname : ''
  const here = host.startsWith('127.') ? [...HERE, host] : HERE
  return [...new Set([...given, ...here])].join(',')
}

/** Runs the command once more, in the place of this process: an older Node reads the variables only at its start. */
function startAgain(env: Environment, variables: Environment, say: (line: string) => void): void {
  const { execve, execPath, execArgv, argv, versions } = process
  const [major = 0] = versions.node.split('.').map(Number)
  const canProxy = major >= 24 || process.allowedNodeEnvironmentFlags.has('--use-env-proxy')
  if (!execve || !canProxy || process.platform === 'win32') {
    const [{ variable = '' } = {}] = findProxies(env)
    say(
      `${variable.toUpperCase()} is set, but Node ${versions.node} does not use proxies: 24.14 and later do`,
    )
    return
  }
  const set = Object.entries({ ...env, ...variables }).filter(([, value]) => value !== undefined)
  execve(execPath, [execPath, ...execArgv, ...argv.slice(1)], Object.fromEntries(set) as NodeJS.ProcessEnv)
}

async function useProxies(env: Environment, server: string | undefined, say: (line: string) => void) {
  const no_proxy = noProxy(env, server)
  if (process.versions.deno || process.versions.bun) {
    // these read it at the first request
    process.env.no_proxy = no_proxy
    process.env.NO_PROXY = no_proxy
    return
  }
  const http = await import('node:http')
  const proxies = findProxies(env)
  const urls = Object.fromEntries(proxies.map(({ variable, url }) => [variable, url]))
  if (!http.setGlobalProxyFromEnv) {
    const isDone = env.NODE_USE_ENV_PROXY === '1' && env.no_proxy === no_proxy
    if (!isDone) startAgain(env, { ...urls, no_proxy, NODE_USE_ENV_PROXY: '1' }, say)
    return
  }
  try {
    http.setGlobalProxyFromEnv({ ...urls, no_proxy })
  } catch {
    // the value may hold a password
    const names = proxies.map(({ variable }) => variable.toUpperCase()).join(' and ')
    say(`${names}: not the URL of a proxy, such as http://proxy.example:8080; no proxy is used`)
  }
}

/** Trusts the authorities of a file too, beside all others. */
async function trust(file: string, say: (line: string) => void): Promise<void> {
  if (process.versions.bun) return
  if (process.versions.deno) {
    process.env.NODE_EXTRA_CA_CERTS ||= file
    return
  }
  const [tls, { readFileSync }] = await Promise.all([import('node:tls'), import('node:fs')])
  const known = tls.getCACertificates?.('default')
  // none: this Node takes the authorities of OpenSSL, which has read the file itself
  if (!tls.setDefaultCACertificates || !known?.length) return
  try {
    const found = readFileSync(file, 'utf8')
    // Node takes a text without any as well
    if (!found.includes('-----BEGIN ')) throw new Error('No certificates')
    tls.setDefaultCACertificates([...known, found])
  } catch {
    say(`SSL_CERT_FILE: ${file} holds no certificates that can be read; it is not used`)
  }
}

/**
 * Sees to it that requests go the way that the environment names: through the proxy of `HTTPS_PROXY` or `HTTP_PROXY`,
 * unless `NO_PROXY` has the host or it is this very machine, and with the authorities of `SSL_CERT_FILE` beside the
 * known ones. (`NODE_EXTRA_CA_CERTS` works by itself.) To be called once, before the first request and before anything
 * reads stdin: on a Node before 24.14, the process may start again. Costs nothing when no variable is set.
 *
 * @param server Base URL that requests will go to.
 * @param say Says a line to the person, on stderr.
 */
export async function useProxyAndCertificates(
  env: Environment,
  server?: string,
  say: (line: string) => void = (line) => void process.stderr.write(`${line}\n`),
): Promise<void> {
  if (findProxies(env).length > 0) await useProxies(env, server, say)
  if (env.SSL_CERT_FILE) await trust(env.SSL_CERT_FILE, say)
}

/** What is wrong with a certificate: in the words of OpenSSL, as Node and Bun have them, and of rustls, as Deno has. */
const CERTIFICATE_HINTS: readonly (readonly [RegExp, string])[] = [
  [
    /UNABLE_TO_(VERIFY|GET_ISSUER)|SELF_SIGNED|UnknownIssuer|CaUsedAsEndEntity/,
    "Its certificate is of an authority that is not known here. If it is your organisation's own, or that of its proxy: NODE_EXTRA_CA_CERTS=/path/to/authority.pem makes it known, NODE_USE_SYSTEM_CA=1 all that this system knows.",
  ],
  [
    /ALTNAME_INVALID|NotValidForName|not valid for name/,
    'Its certificate is for another host. Check the address (--server).',
  ],
  [
    /CERT_(HAS_EXPIRED|NOT_YET_VALID)|certificate: (Expired|NotValidYet|certificate (expired|not valid yet))/,
    'Its certificate is not valid at this time. Check the clock of this machine; else its operator has to renew it.',
  ],
]

/**
 * Says what a person can do about a server that does not answer, where its certificate or a proxy may be why.
 *
 * @param error What the request failed with.
 * @returns Null when there is nothing to say.
 */
export function networkHint({ code, message }: LoginError, env: Environment): string | null {
  if (code !== 'unreachable') return null
  const found = CERTIFICATE_HINTS.find(([words]) => words.test(message))
  if (found) return found[1]
  const [proxy] = findProxies(env)
  // http is for this very machine, which is asked without one
  if (!proxy || message.startsWith('http://')) return null
  return `Check the address (--server), and the proxy that ${proxy.variable.toUpperCase()} names; NO_PROXY excepts hosts.`
}
