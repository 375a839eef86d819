/**
 * Compiles the SQL that SQLite and D1 are given, ahead of time: `adapters/d1_sql.ts` from `adapters/statements.ts` and
 * `adapters/migrations.ts`, and `migrations/*.sql` for `wrangler d1 migrations apply`, one file a step.
 *
 * @module
 */

import { writeFileSync } from 'node:fs'
import { argv } from 'node:process'
import { fileURLToPath } from 'node:url'
import { DummyDriver, Kysely, type KyselyConfig, SqliteAdapter, SqliteQueryCompiler } from 'kysely'
import { createMigrationsTable, migrations, type Tables } from '../../adapters/migrations.ts'
import { compileStatement, type StatementName, statements } from '../../adapters/statements.ts'

/** A Kysely that compiles and runs nothing; `onQuery` is told what it would have run. */
function createCompiler(onQuery: (sql: string) => void = () => {}): Kysely<Tables> {
  const config: KyselyConfig = {
    dialect: {
      createAdapter: () => new SqliteAdapter(),
      createDriver: () => new DummyDriver(),
      // there is nothing to look at: a batch is all or nothing, so that a step never meets a part of itself
      createIntrospector: () => ({ getSchemas: async () => [], getTables: async () => [] }),
      createQueryCompiler: () => new SqliteQueryCompiler(),
    },
    log: ({ query }) => onQuery(query.sql),
  }
  return new Kysely<Tables>(config)
}

/** What `work` would have run. */
async function compile(work: (db: Kysely<Tables>) => Promise<void>): Promise<string[]> {
  const texts: string[] = []
  await work(createCompiler((sql) => texts.push(sql)))
  return texts
}

/** What each step runs. */
async function compileSteps(): Promise<Record<string, string[]>> {
  const steps: Record<string, string[]> = {}
  for (const [name, { up }] of Object.entries(migrations('sqlite')))
    steps[name] = await compile((db) => up(db))
  return steps
}

/** Notes that a step was done. */
const NOTE_STEP =
  'insert or ignore into "pairgate_migrations" ("name", "timestamp") ' +
  "values (?, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))"

function compileStatements() {
  const db = createCompiler()
  const names = Object.keys(statements) as StatementName[]
  return Object.fromEntries(names.map((name) => [name, compileStatement(db, name)]))
}

/** The files, by path from the project's folder; `adapters/d1_sql.ts` before it is formatted. */
export async function generateD1(): Promise<Record<string, string>> {
  const steps = await compileSteps()
  const [table = ''] = await compile(createMigrationsTable)
  const files: Record<string, string> = {
    'adapters/d1_sql.ts': `/** The SQL of SQLite and D1. Made by "npm run generate": do not edit. @module */

import type { CompiledStatement } from './sql_run.ts'
import type { StatementName } from './statements.ts'

/** Every statement of statements.ts. */
export const STATEMENTS: Record<StatementName, CompiledStatement> = ${JSON.stringify(compileStatements(), null, 2)}

/** Makes the table that notes which steps were done. */
export const STEPS_TABLE: string = ${JSON.stringify(table)}

/** Notes that the step of this name was done. */
export const NOTE_STEP: string = ${JSON.stringify(NOTE_STEP)}

/** Every step of migrations.ts. */
export const STEPS: Record<string, readonly string[]> = ${JSON.stringify(steps, null, 2)}
`,
  }
  for (const [name, texts] of Object.entries(steps)) {
    const head = '-- Made by "npm run generate" from adapters/migrations.ts: do not edit.\n'
    const all = [table, ...texts, NOTE_STEP.replace('?', `'${name}'`)]
    files[`examples/workers/migrations/${name}.sql`] = head + all.map((text) => `${text};\n`).join('')
  }
  return files
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  for (const [path, text] of Object.entries(await generateD1()))
    writeFileSync(new URL(`../../${path}`, import.meta.url), text)
}
