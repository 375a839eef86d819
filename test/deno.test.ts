/** Deno: the tasks' permissions, publishing to JSR, and running from source without `npm ci`. @module */

import { spawn } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, describe, expect, expectTypeOf, test } from 'vitest'
import type { DecideOutcome, TokenOutcome } from '../src/core/outcome.ts'
import { createBrowser } from './support/gate.ts'
import { createClient, loginWithDevice, loginWithPaircode } from './support/kit.ts'
import { DENO, plainEnvironment, ROOT, whyNot } from './support/runtimes.ts'
import { findFreePort } from './support/standalone.ts'

const onDeno = describe.skipIf(whyNot([DENO]) !== null)
const json = (file: string) => JSON.parse(readFileSync(join(ROOT, file), 'utf8'))
const { tasks, imports, lint, exports: entries } = json('deno.json')

const folders: string[] = []
function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'pairgate-deno-'))
  folders.push(folder)
  return folder
}
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

interface Running {
  output(): string
  /** Resolves when the output matches. Rejects with the output when it ends before. */
  says(pattern: RegExp): Promise<void>
  readonly ended: Promise<number | null>
  stop(): Promise<number | null>
}

/** Starts Deno, without a terminal and without settings of the developer's own. */
function startDeno(args: string[], env: Record<string, string> = {}, cwd = ROOT): Running {
  const child = spawn(DENO, args, {
    cwd,
    env: { ...plainEnvironment(), NO_COLOR: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  let look = () => {}
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
      look()
    })
  }
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  return {
    output: () => output,
    ended,
    says: (pattern) =>
      new Promise((resolve, reject) => {
        look = () => pattern.test(output) && resolve()
        look()
        ended.then((code) => reject(new Error(`Deno ended with ${code}: ${output}`)))
      }),
    stop() {
      child.kill('SIGTERM')
      return ended
    },
  }
}

async function runDeno(
  ...args: Parameters<typeof startDeno>
): Promise<{ code: number | null; output: string }> {
  const running = startDeno(...args)
  return { code: await running.ended, output: running.output() }
}

/** Starts the server by its task, and hands over once it listens. */
async function serve(env: Record<string, string>, cwd = ROOT) {
  const port = await findFreePort()
  const base = `http://127.0.0.1:${port}`
  const running = startDeno(['task', 'serve'], { PORT: String(port), ...env }, cwd)
  await running.says(/^pairgate listens on/m)
  return { ...running, base }
}

/** What the server says when it must not start, without the line that Deno's task runner begins with. */
async function refusal(env: Record<string, string>): Promise<{ code: number | null; lines: string[] }> {
  const port = String(await findFreePort())
  const running = startDeno(['task', '--quiet', 'serve'], { PORT: port, ...env })
  running.says(/^pairgate listens on/m).then(running.stop, () => {})
  return { code: await running.ended, lines: running.output().trim().split('\n') }
}

describe('deno.json', () => {
  test('no task has all permissions, nor all of a kind except the network, whose hosts are settings', () => {
    const commands = Object.values<string>(tasks).join('\n')
    expect(commands).toContain('deno run')
    expect(commands).not.toMatch(/(^|\s)(-A|--allow-all|-[RWESN]+)\b/)
    expect(commands).not.toMatch(/--allow-(read|write|env)(?!=)/)
    expect(commands).not.toMatch(/--allow-(run|ffi|sys|import)/)
    expect(tasks.serve).toContain('--no-prompt')
  })

  test('OPS-07 imports name the same exact versions as package.json, and nothing is missing', () => {
    const { dependencies, devDependencies, optionalDependencies, peerDependencies } = json('package.json')
    const versions = { ...peerDependencies, ...optionalDependencies, ...devDependencies, ...dependencies }
    // pairgate's own names are the sources: the house rules compare them
    const others = Object.entries(imports).filter(([name]) => !/^pairgate(\/|$)/.test(name))
    for (const [name, target] of others) expect(target).toBe(`npm:${name}@${versions[name]}`)
    const bare = ['src', 'adapters', 'clients'].flatMap((folder) =>
      readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
        .filter((file) => /\.tsx?$/.test(file))
        .flatMap((file) => [
          ...readFileSync(join(ROOT, folder, file), 'utf8').matchAll(
            /(?:\bfrom\s|\bimport\()\s*'([^.'][^']*)'/g,
          ),
        ])
        .map(([, from = '']) => /^(?:@[^/]+\/)?[^/]+/.exec(from)?.[0] ?? '')
        .filter((name) => !name.includes(':')),
    )
    expect(bare.filter((name) => !(name in imports))).toEqual([])
    expect(others.filter(([name]) => !bare.includes(name))).toEqual([])
  })

  test('OPS-07 deno.lock has what package.json names, with the hashes of package-lock.json (else: deno task lock)', () => {
    const lock = json('deno.lock')
    const { dependencies, devDependencies } = json('package.json')
    const direct = Object.entries({ ...dependencies, ...devDependencies }).map((pair) => pair.join('@'))
    expect(direct.filter((id) => !(`npm:${id}` in lock.specifiers))).toEqual([])

    const { packages } = json('package-lock.json')
    const hashes = new Map(
      Object.entries<{ version: string; integrity?: string }>(packages).map(([path, entry]) => [
        `${path.split('node_modules/').at(-1)}@${entry.version}`,
        entry.integrity,
      ]),
    )
    // what others depend on may be of another version in either
    const locked = Object.entries<{ integrity: string }>(lock.npm)
      .map(([key, { integrity }]) => ({ id: /^@?[^@]+@[^_]+/.exec(key)?.[0] ?? '', integrity }))
      .filter(({ id }) => hashes.has(id))
    expect(direct.filter((id) => !locked.some((one) => one.id === id))).toEqual([])
    expect(locked.filter(({ id, integrity }) => hashes.get(id) !== integrity)).toEqual([])
    expect(JSON.stringify(lock)).not.toMatch(/https?:/)
  })
})

onDeno('publishing', () => {
  test('deno publish accepts the package: no type is left to infer, only what people need goes along', async () => {
    expect(lint?.rules?.exclude ?? []).not.toContain('no-slow-types')
    const { code, output } = await runDeno(['publish', '--dry-run', '--allow-dirty'])
    expect(output).toContain('Success Dry run complete')
    expect(code).toBe(0)
    const root = pathToFileURL(ROOT).href
    const files = [...output.matchAll(/^ +(file:\S+) \(/gm)].map(([, url = '']) => url.slice(root.length))
    expect(files).toContain('src/mod.ts')
    const isWanted = /^((src|adapters|clients|docs)\/.*|[A-Z]+\.md|LICENSE|deno\.json)$/
    expect(files.filter((file) => !isWanted.test(file))).toEqual([])
  })

  test('the written type keeps every outcome apart for a typed client', () => {
    type Api = ReturnType<typeof createClient>['api']
    expectTypeOf<Awaited<ReturnType<Api['device']['token']['mutate']>>>().toEqualTypeOf<TokenOutcome>()
    expectTypeOf<Awaited<ReturnType<Api['pair']['approve']['mutate']>>>().toEqualTypeOf<DecideOutcome>()
    expectTypeOf<Parameters<Api['device']['token']['mutate']>[0]>().toEqualTypeOf<{
      client_id: string
      device_code: string
      wait?: number | undefined
    }>()
  })
})

onDeno('from source, without node_modules and package.json', () => {
  test('it type-checks, serves, signs in by both flows, and ends cleanly', async (context) => {
    const source = makeFolder()
    for (const name of ['src', 'adapters', 'clients', 'examples', 'deno.json']) {
      cpSync(join(ROOT, name), join(source, name), { recursive: true })
    }
    const env = { DENO_DIR: makeFolder() }
    const files = [...Object.values<string>(entries), 'examples/serve.ts', 'examples/gateway.ts']
    const checked = await runDeno(['check', ...files], env, source)
    if (/error sending request|dns error/.test(checked.output) && !process.env.CI) {
      console.warn('!!! SKIPPED: the npm registry cannot be reached !!!')
      context.skip()
    }
    expect(checked).toMatchObject({ code: 0 })

    const server = await serve(env, source)
    try {
      expect((await fetch(`${server.base}/readyz`)).status).toBe(200)
      const person = createBrowser((path, init) => fetch(new URL(path, server.base), init), server.base)
      await person.signIn('alice')
      for (const signIn of [loginWithDevice, loginWithPaircode]) {
        let allowed: Promise<Response> | undefined
        const token = await signIn(createClient({ server: server.base }), {
          onPrompt: ({ url }) => {
            allowed = person.decide(new URL(url).pathname + new URL(url).search, 'allow')
          },
          wait: async () => void (await allowed),
        })
        const client = createClient({ server: server.base, token: token.access_token })
        expect(await client.api.session.whoami.query()).toMatchObject({ subject: 'alice' })
      }
    } finally {
      expect(await server.stop()).toBe(0)
    }
    expect(existsSync(join(source, 'pairgate.db'))).toBe(true)
  })
})

onDeno('deno task serve has no more permissions than it needs', () => {
  const outside = [
    ['a database in a folder that is not allowed', () => ({ DATABASE_URL: 'sqlite:/pairgate.db' }), '/'],
    [
      'a database outside PAIRGATE_DATA',
      () => ({ DATABASE_URL: `sqlite:${makeFolder()}/test.db`, PAIRGATE_DATA: makeFolder() }),
      'pairgate-deno-',
    ],
    ['a database among the sources', () => ({ DATABASE_URL: 'sqlite:src/test.db' }), 'src/test.db'],
    ['a configuration file elsewhere', () => ({ PAIRGATE_CONFIG: '/etc/hostname' }), '/etc/hostname'],
  ] as const

  test.each(outside)('%s is refused in one line', async (_, env, place) => {
    const { code, lines } = await refusal(env())
    expect(lines).toEqual([
      expect.stringMatching(
        /^pairgate cannot start: Requires (read|write) access to "[^"]+": .*PAIRGATE_DATA/,
      ),
    ])
    expect(lines[0]).toContain(place)
    expect(code).toBe(1)
    expect(existsSync(join(ROOT, 'src/test.db'))).toBe(false)
  })

  test('PAIRGATE_DATA is the folder it may write; code inside the server can do nothing else', async () => {
    const data = `${makeFolder()} with a space`
    folders.push(data)
    cpSync(makeFolder(), data, { recursive: true })
    const config = join(data, 'config.ts')
    writeFileSync(
      config,
      `import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
const tries: Record<string, () => unknown> = {
  'write its data': () => writeFileSync(${JSON.stringify(join(data, 'mark'))}, ''),
  'read a secret of the system': () => readFileSync('/etc/passwd'),
  'write elsewhere': () => writeFileSync(${JSON.stringify(join(makeFolder(), 'mark'))}, ''),
  'write its own program': () => writeFileSync('src/mod.ts', '', { flag: 'a' }),
  'write its own tasks': () => writeFileSync('deno.json', '', { flag: 'a' }),
  'read another variable': () => process.env.HOME,
  'run a program': () => execFileSync('/bin/true'),
  'learn of the machine': () => hostname(),
}
const can = Object.keys(tries).filter((name) => {
  try {
    tries[name]!()
    return true
  } catch {
    return false
  }
})
export default { name: 'can ' + can.join(', ') }
`,
    )
    const server = await serve({
      DATABASE_URL: `sqlite:${join(data, 'test.db')}`,
      PAIRGATE_DATA: data,
      PAIRGATE_CONFIG: config,
    })
    try {
      const page = await (await fetch(`${server.base}/sign-in`, { headers: { accept: 'text/html' } })).text()
      expect(/can [a-z, ]*/.exec(page)?.[0]).toBe('can write its data')
    } finally {
      expect(await server.stop()).toBe(0)
    }
  })
})
