/** The rules of the code base: who may import whom, documented exports, one public surface, short files. @module */

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'

const root = join(import.meta.dirname, '..')
const FOLDERS = ['src', 'adapters', 'clients', 'test', 'examples', 'bench']

function listFiles(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
}

const files = FOLDERS.flatMap(listFiles)
const read = (file: string) => readFileSync(join(root, file), 'utf8')
const json = (file: string) => JSON.parse(read(file))

/** Every import of a file: where from, and whether it is for types only. */
function importsOf(file: string): { from: string; isType: boolean }[] {
  const source = read(file)
  const found = [...source.matchAll(/^(?:import|export)\s(type\s)?[^'"]*?from\s+'([^']+)'/gms)]
  const dynamic = [...source.matchAll(/\bimport\('([^']+)'\)/g)]
  return [
    ...found.map(([, type, from = '']) => ({ from, isType: type !== undefined })),
    ...dynamic.map(([, from = '']) => ({ from, isType: false })),
  ].map(({ from, isType }) => ({ from: from.startsWith('.') ? join(file, '..', from) : from, isType }))
}

interface Rule {
  /** Files the rule is for. */
  readonly of: RegExp
  /** What they may import. */
  readonly may: RegExp
}

const RULES: readonly Rule[] = [
  { of: /^src\/core\//, may: /^src\/core\// },
  { of: /^src\/(errors|store)\.ts/, may: /^src\/core\// },
  { of: /^src\/hash\.ts/, may: /^@oslojs\// },
  { of: /^src\/signing\.ts/, may: /^src\/hash/ },
  { of: /^src\/openid\.ts/, may: /^openid-client$/ },
  { of: /^src\/providers\.ts/, may: /^src\/(core\/|errors|openid)/ },
  { of: /^src\/options\.ts/, may: /^src\/core\// },
  { of: /^src\/config(_schema)?\.ts/, may: /^(valibot$|src\/(core\/|config_schema|errors|hash|store))/ },
  { of: /^src\/flows\//, may: /^src\/(core\/|flows\/|errors|store|hash|config|providers)/ },
  {
    of: /^src\/(router|router_account|procedures)\.ts/,
    may: /^(@trpc\/server$|valibot$|src\/(core\/|flows\/|errors|procedures|router_account))/,
  },
  { of: /^src\/router_type\.ts/, may: /^@trpc\/server$/ },
  { of: /^src\/pages\//, may: /^(hono\/|src\/(core\/|flows\/|pages\/|config|hash|store))/ },
  {
    of: /^src\/endpoints\//,
    may: /^(hono$|hono\/|src\/(core\/|flows\/|pages\/|endpoints\/|config|errors|hash|store))/,
  },
  { of: /^src\/verify_cache\.ts/, may: /^src\/(flows\/|config|store)/ },
  { of: /^src\/app\.ts/, may: /^(hono$|hono\/|@trpc\/server\/adapters\/fetch$|src\/)/ },
  { of: /^src\/guard\.ts/, may: /^(hono$|src\/(flows\/|config|endpoints\/challenge))/ },
  { of: /^src\/pairgate\.ts/, may: /^(@logtape\/logtape$|src\/)/ },
  { of: /^src\/(mod|internal)\.ts/, may: /^src\// },
  {
    of: /^adapters\//,
    may: /^(node:|kysely|mysql2\/promise$|cloudflare:workers$|@hono\/node-server|jose$|adapters\/|src\/(mod|internal)\.ts)/,
  },
  // nothing at all: not even types of the inside
  { of: /^clients\/generated\/contract\.ts/, may: /^$/ },
  {
    of: /^clients\/generated\/client\.ts/,
    may: /^clients\/generated\/contract\.ts$/,
  },
  { of: /^clients\/api\.ts/, may: /^clients\/generated\// },
  {
    of: /^clients\//,
    may: /^(node:|open$|uqr$|@napi-rs\/keyring$|@optique\/|clients\/|package\.json$)/,
  },
  // everything is measured against it: nothing of ours, and nothing of anybody else's
  { of: /^bench\/floor\.ts/, may: /^node:/ },
]

describe('layers', () => {
  test.each(RULES)('$of imports only $may', ({ of, may }) => {
    const wrong = files
      .filter((file) => of.test(file))
      .flatMap((file) => importsOf(file).map((one) => ({ file, ...one })))
      // types may be taken from further in: they leave no trace at run time
      .filter(({ from, isType }) => !may.test(from) && !(isType && from.startsWith('src/')))
    expect(wrong).toEqual([])
  })

  test('every source file is under a rule', () => {
    const free = files.filter(
      (file) => /^(src|adapters|clients)\//.test(file) && !RULES.some(({ of }) => of.test(file)),
    )
    expect(free).toEqual([])
  })

  test('runtimes and globals stay outside: no process, Deno, Bun, Date.now or Math.random in src', () => {
    const wrong = files
      .filter((file) => file.startsWith('src/'))
      .flatMap((file) =>
        [
          ...read(file).matchAll(
            /^(?!\s*(?:\*|\/\/|\/\*)).*\b(process\.|Deno\.|Bun\.|Date\.now|Math\.random|console\.).*$/gm,
          ),
        ].map(([line]) => `${file}: ${line.trim()}`),
      )
    expect(wrong).toEqual([
      'src/config_schema.ts: now: v.optional(callback<() => number>(), () => Date.now),',
      'src/pairgate.ts: const now = options.now ?? Date.now',
    ])
  })

  test('STO-01 only bound parameters: no raw SQL but constants', () => {
    const wrong = files.filter(
      (file) =>
        /^(src|adapters)\//.test(file) &&
        /\bsql(\.raw|\.lit|<|`[^`]*\$\{)|\beb\.lit\(|JSONPath/.test(read(file)),
    )
    expect(wrong).toEqual([])
  })
})

describe('documentation', () => {
  test('every file says what it is', () => {
    const silent = files.filter((file) => !/^\/\*\*.*?@module/s.test(read(file)))
    expect(silent).toEqual([])
  })

  test('every export has a doc comment', () => {
    const undocumented = files
      .filter((file) => /^(src|adapters|clients)\//.test(file))
      .flatMap((file) => {
        const lines = read(file).split('\n')
        return lines.flatMap((line, i) => {
          if (!/^export (async )?(function|const|class|interface|type) (?![*{])/.test(line)) return []
          const above = lines[i - 1] ?? ''
          const documented =
            above.endsWith('*/') || (above.startsWith('// biome-ignore') && lines[i - 2]?.endsWith('*/'))
          return documented ? [] : [`${file}: ${line}`]
        })
      })
    expect(undocumented).toEqual([])
  })
})

describe('package', () => {
  /** What people import: its name, what npm's package has for it, and the source that this is built of. */
  const { './package.json': _self, ...exported } = json('package.json').exports
  const entries = Object.entries<string | { types: string; default: string }>(exported).map(
    ([entry, target]) => {
      const file = typeof target === 'string' ? target : target.default
      const source = file.replace(/^\.\/dist\/(.+)\.js$/, './$1.ts')
      return { entry, name: entry.replace('.', 'pairgate'), target, source }
    },
  )
  const modules = entries.filter(({ target }) => typeof target === 'object')

  test('package.json and deno.json have the same entry points and version', () => {
    expect(json('deno.json').exports).toEqual(
      Object.fromEntries(modules.map(({ entry, source }) => [entry, source])),
    )
    expect(json('deno.json').version).toBe(json('package.json').version)
  })

  test('in a clone the entry points are the sources, for tsc, tsx, Bun, vitest and Deno alike', () => {
    expect(json('tsconfig.json').compilerOptions.paths).toEqual(
      Object.fromEntries(entries.map(({ name, source }) => [name, [source]])),
    )
    const own = Object.entries(json('deno.json').imports).filter(([name]) => /^pairgate(\/|$)/.test(name))
    expect(own).toEqual(entries.map(({ name, source }) => [name, source]))
  })

  test('the build is of the entry points, each with its declarations', () => {
    expect(json('tsconfig.build.json').files).toEqual(modules.map(({ source }) => source.slice(2)))
    expect(modules.map(({ target }) => target)).toEqual(
      modules.map(({ source }) => ({
        types: source.replace('./', './dist/').replace(/ts$/, 'd.ts'),
        default: source.replace('./', './dist/').replace(/ts$/, 'js'),
      })),
    )
    expect(entries.map(({ source }) => source).filter((file) => !existsSync(join(root, file)))).toEqual([])
  })

  test('every version is exact', () => {
    const { dependencies, devDependencies, optionalDependencies } = json('package.json')
    const loose = Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies }).filter(
      ([, version]) => !/^\d+\.\d+\.\d+$/.test(String(version)),
    )
    expect(loose).toEqual([])
  })

  test('OPS-07 at most ten direct server dependencies, above the floors of their advisories', () => {
    const { dependencies } = json('package.json')
    const ofClient = /^(@trpc\/client|open|uqr|@optique\/.*)$/
    expect(Object.keys(dependencies).filter((name) => !ofClient.test(name)).length).toBeLessThanOrEqual(10)
    const floors = { hono: [4, 12, 25], kysely: [0, 28, 17], '@trpc/server': [11, 8, 0] }
    for (const [name, floor] of Object.entries(floors)) {
      const version = dependencies[name].split('.').map(Number)
      const at = floor.findIndex((part, i) => part !== version[i])
      expect([name, at < 0 || version[at] > (floor[at] ?? 0)]).toEqual([name, true])
    }
  })

  test('no file is longer than 400 lines', () => {
    expect(files.filter((file) => read(file).split('\n').length > 401)).toEqual([])
  })
})
