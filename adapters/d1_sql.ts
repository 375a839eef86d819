/** The SQL of D1. Made by "npm run generate": do not edit. @module */

import type { CompiledStatement } from './sql_run.ts'
import type { StatementName } from './statements.ts'

/** Every statement of statements.ts. */
export const STATEMENTS: Record<StatementName, CompiledStatement> = {
  insertGrant: {
    sql: 'insert into "grants" ("id", "flow", "client_id", "secret_hash", "user_code", "match_code", "scope", "device_name", "remote_address", "status", "user_id", "poll_interval", "created_at", "expires_at", "decided_at") values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
    parameters: [
      'id',
      'flow',
      'client_id',
      'secret_hash',
      'user_code',
      'match_code',
      'scope',
      'device_name',
      'remote_address',
      'status',
      'user_id',
      'poll_interval',
      'created_at',
      'expires_at',
      'decided_at',
    ],
  },
  findGrantById: {
    sql: 'select "grants".*, "credentials"."id" as "credential_id" from "grants" left join "credentials" on "credentials"."grant_id" = "grants"."id" where "grants"."id" = ?',
    parameters: ['id'],
  },
  findGrantBySecret: {
    sql: 'select "grants".*, "credentials"."id" as "credential_id" from "grants" left join "credentials" on "credentials"."grant_id" = "grants"."id" where "grants"."secret_hash" = ?',
    parameters: ['secret_hash'],
  },
  findGrantByUserCode: {
    sql: 'select "grants".*, "credentials"."id" as "credential_id" from "grants" left join "credentials" on "credentials"."grant_id" = "grants"."id" where "grants"."user_code" = ?',
    parameters: ['user_code'],
  },
  slowDown: {
    sql: 'update "grants" set "poll_interval" = ? where "id" = ? and "status" = ? and "poll_interval" < ?',
    parameters: ['interval', 'id', ['pending'], 'interval'],
  },
  decideGrant: {
    sql: 'update "grants" set "status" = ?, "user_id" = ?, "decided_at" = ? where "id" = ? and "status" = ? and "expires_at" > ?',
    parameters: ['status', 'user_id', 'now', 'grant_id', ['pending'], 'now'],
  },
  redeemGrant: {
    sql: 'insert into "credentials" ("id", "kind", "secret_hash", "hint", "name", "remote_address", "expires_at", "created_at", "last_used_at", "revoked_at", "user_id", "grant_id", "client_id", "scope") select ? as "id", ? as "kind", ? as "secret_hash", ? as "hint", ? as "name", ? as "remote_address", ? as "expires_at", ? as "created_at", ? as "last_used_at", ? as "revoked_at", "users"."id" as "user_id", "grants"."id" as "grant_id", "grants"."client_id", "grants"."scope" from "grants" inner join "users" on "users"."id" = "grants"."user_id" where "grants"."secret_hash" = ? and "grants"."client_id" = ? and "grants"."flow" = ? and "grants"."status" = ? and "grants"."expires_at" > ? and "users"."disabled_at" is null',
    parameters: [
      'id',
      'kind',
      'secret_hash',
      'hint',
      'name',
      'remote_address',
      'expires_at',
      'now',
      'now',
      [null],
      'grant_secret_hash',
      'client_id',
      'flow',
      ['approved'],
      'now',
    ],
  },
  insertCredential: {
    sql: 'insert into "credentials" ("id", "kind", "secret_hash", "hint", "name", "remote_address", "expires_at", "created_at", "last_used_at", "revoked_at", "user_id", "grant_id", "client_id", "scope") values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
    parameters: [
      'id',
      'kind',
      'secret_hash',
      'hint',
      'name',
      'remote_address',
      'expires_at',
      'created_at',
      'last_used_at',
      'revoked_at',
      'user_id',
      'grant_id',
      'client_id',
      'scope',
    ],
  },
  findCredential: {
    sql: 'select "credentials".*, "users"."issuer", "users"."subject", "users"."name" as "user_name", "users"."email", "users"."disabled_at" from "credentials" inner join "users" on "users"."id" = "credentials"."user_id" where "credentials"."secret_hash" = ?',
    parameters: ['secret_hash'],
  },
  touchCredential: {
    sql: 'update "credentials" set "last_used_at" = ? where "id" = ? and "last_used_at" <= ?',
    parameters: ['now', 'id', 'before'],
  },
  revokeCredential: {
    sql: 'update "credentials" set "revoked_at" = ? where "secret_hash" = ? and "revoked_at" is null',
    parameters: ['now', 'secret_hash'],
  },
  revokeCredentialOf: {
    sql: 'update "credentials" set "revoked_at" = ? where "secret_hash" = ? and "client_id" = ? and "revoked_at" is null',
    parameters: ['now', 'secret_hash', 'client_id'],
  },
  insertUser: {
    sql: 'insert into "users" ("id", "issuer", "subject", "name", "email", "disabled_at", "created_at", "updated_at") values (?, ?, ?, ?, ?, ?, ?, ?)',
    parameters: ['id', 'issuer', 'subject', 'name', 'email', 'disabled_at', 'created_at', 'updated_at'],
  },
  renameUser: {
    sql: 'update "users" set "name" = ?, "email" = ?, "updated_at" = ? where "id" = ?',
    parameters: ['name', 'email', 'now', 'id'],
  },
  disableUser: {
    sql: 'update "users" set "disabled_at" = ?, "updated_at" = ? where "id" = ?',
    parameters: ['disabled_at', 'now', 'id'],
  },
  findUser: {
    sql: 'select "id", "issuer", "subject", "name", "email", "disabled_at" from "users" where "id" = ?',
    parameters: ['id'],
  },
  ping: {
    sql: 'select "id" from "users" limit ?',
    parameters: [[1]],
  },
  sumLimits: {
    sql: 'select "key", sum("n") as "n" from "limits" where (("key" = ? and "bucket" >= ? and "bucket" < ?) or ("key" = ? and "bucket" >= ? and "bucket" < ?) or ("key" = ? and "bucket" >= ? and "bucket" < ?)) group by "key"',
    parameters: ['key1', 'since1', 'until1', 'key2', 'since2', 'until2', 'key3', 'since3', 'until3'],
  },
  raiseLimit: {
    sql: 'update "limits" set "n" = "n" + ? where "key" = ? and "bucket" = ? and "n" < ?',
    parameters: [[1], 'key', 'bucket', 'max'],
  },
  insertLimit: {
    sql: 'insert into "limits" ("key", "bucket", "n") values (?, ?, ?)',
    parameters: ['key', 'bucket', [1]],
  },
  lowerLimit: {
    sql: 'update "limits" set "n" = "n" - ? where "key" = ? and "bucket" = ? and "n" > ?',
    parameters: [[1], 'key', 'bucket', [0]],
  },
  insertEvent: {
    sql: 'insert into "events" ("id", "at", "type", "user_id", "client_id", "grant_id", "credential_id", "remote_address", "request_id", "detail") values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
    parameters: [
      'id',
      'at',
      'type',
      'user_id',
      'client_id',
      'grant_id',
      'credential_id',
      'remote_address',
      'request_id',
      'detail',
    ],
  },
  oldGrants: {
    sql: 'select "expires_at" as "at" from "grants" where "expires_at" < ? order by "expires_at" limit ?',
    parameters: ['before', 'batch'],
  },
  dropGrants: {
    sql: 'delete from "grants" where "expires_at" <= ?',
    parameters: ['last'],
  },
  oldCredentials: {
    sql: 'select "expires_at" as "at" from "credentials" where "expires_at" < ? order by "expires_at" limit ?',
    parameters: ['before', 'batch'],
  },
  dropCredentials: {
    sql: 'delete from "credentials" where "expires_at" <= ?',
    parameters: ['last'],
  },
  oldLimits: {
    sql: 'select "bucket" as "at" from "limits" where "bucket" < ? order by "bucket" limit ?',
    parameters: ['before', 'batch'],
  },
  dropLimits: {
    sql: 'delete from "limits" where "bucket" <= ?',
    parameters: ['last'],
  },
  listSteps: {
    sql: 'select "name" from "pairgate_migrations"',
    parameters: [],
  },
}

/** Every step of migrations.ts. */
export const STEPS: Record<string, readonly string[]> = {
  '0001_tables': [
    'create table if not exists "pairgate_migrations" ("name" varchar(255) not null primary key, "timestamp" varchar(255) not null)',
    'create table if not exists "users" ("id" varchar(64) not null primary key, "issuer" varchar(255) not null, "subject" varchar(255) not null, "name" varchar(255), "email" varchar(255), "disabled_at" bigint, "created_at" bigint not null, "updated_at" bigint not null)',
    'create table if not exists "grants" ("id" varchar(64) not null primary key, "flow" varchar(8) not null, "client_id" varchar(128) not null, "secret_hash" varchar(64) not null unique, "user_code" varchar(16) unique, "match_code" varchar(32), "scope" varchar(1024) not null, "device_name" varchar(255), "remote_address" varchar(64), "status" varchar(8) not null, "user_id" varchar(64), "poll_interval" integer not null, "created_at" bigint not null, "expires_at" bigint not null, "decided_at" bigint)',
    'create index if not exists "grants_expires_at" on "grants" ("expires_at")',
    'create table if not exists "credentials" ("id" varchar(64) not null primary key, "kind" varchar(8) not null, "user_id" varchar(64) not null, "grant_id" varchar(64) unique, "client_id" varchar(128), "secret_hash" varchar(64) not null unique, "hint" varchar(16) not null, "name" varchar(255) not null, "scope" varchar(1024) not null, "remote_address" varchar(64), "created_at" bigint not null, "expires_at" bigint not null, "last_used_at" bigint not null, "revoked_at" bigint)',
    'create index if not exists "credentials_user_id" on "credentials" ("user_id")',
    'create index if not exists "credentials_expires_at" on "credentials" ("expires_at")',
    'create table if not exists "limits" ("key" varchar(191) not null, "bucket" bigint not null, "n" integer not null, constraint "limits_primary" primary key ("key", "bucket"))',
    'create index if not exists "limits_bucket" on "limits" ("bucket")',
    'create table if not exists "events" ("id" varchar(64) not null primary key, "at" bigint not null, "type" varchar(32) not null, "user_id" varchar(64), "client_id" varchar(128), "grant_id" varchar(64), "credential_id" varchar(64), "remote_address" varchar(64), "request_id" varchar(64), "detail" varchar(255))',
    'create index if not exists "events_at" on "events" ("at")',
    'insert or ignore into "pairgate_migrations" ("name", "timestamp") values (\'0001_tables\', strftime(\'%Y-%m-%dT%H:%M:%fZ\', \'now\'))',
  ],
}
