/** The SQL of SQLite and D1. Made by "npm run generate": do not edit. @module */

import type { CompiledStatement } from './sql_run.ts'
import type { StatementName } from './statements.ts'

/** Every statement of statements.ts. */
export const STATEMENTS: Record<StatementName, CompiledStatement> = {
  insertGrant: {
    sql: 'insert into "grants" ("id", "flow", "client_id", "secret_hash", "user_code", "match_code", "scope", "device_name", "remote_address", "status", "poll_interval", "loopback_port", "loopback_state", "created_at", "expires_at") values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
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
      'poll_interval',
      'loopback_port',
      'loopback_state',
      'created_at',
      'expires_at',
    ],
  },
  findGrantById: {
    sql: 'select "credentials"."id" as "credential_id", "grants".* from "grants" left join "credentials" on "credentials"."grant_id" = "grants"."id" where "grants"."id" = ?',
    parameters: ['id'],
  },
  findGrantBySecret: {
    sql: 'select "credentials"."id" as "credential_id", "grants".* from "grants" left join "credentials" on "credentials"."grant_id" = "grants"."id" where "grants"."secret_hash" = ?',
    parameters: ['secret_hash'],
  },
  findGrantByUserCode: {
    sql: 'select "credentials"."id" as "credential_id", "grants".* from "grants" left join "credentials" on "credentials"."grant_id" = "grants"."id" where "grants"."user_code" = ?',
    parameters: ['user_code'],
  },
  slowDown: {
    sql: 'update "grants" set "poll_interval" = ? where "id" = ? and "status" != ? and "poll_interval" < ?',
    parameters: ['interval', 'id', ['denied'], 'interval'],
  },
  decideGrant: {
    sql: 'update "grants" set "status" = ?, "user_id" = ?, "scope" = ?, "tenant" = ?, "decided_address" = ?, "code_hash" = ?, "expires_at" = ?, "decided_at" = ? where "id" = ? and "status" = ? and "expires_at" > ?',
    parameters: [
      'status',
      'user_id',
      'scope',
      'tenant',
      'decided_address',
      'code_hash',
      'expires_at',
      'now',
      'grant_id',
      ['pending'],
      'now',
    ],
  },
  listDecided: {
    sql: 'select "id" from "grants" where "decided_at" >= ?',
    parameters: ['since'],
  },
  expireGrants: {
    sql: 'update "grants" set "expires_at" = "created_at" where "user_id" = ? and "flow" = ? and "status" = ? and "expires_at" > ?',
    parameters: ['user_id', 'flow', ['approved'], 'now'],
  },
  redeemGrant: {
    sql: 'insert into "credentials" ("id", "kind", "secret_hash", "hint", "name", "remote_address", "expires_at", "access_expires_at", "family_hash", "refresh_hash", "created_at", "last_used_at", "user_id", "grant_id", "client_id", "scope", "tenant", "approved_address") select ? as "id", ? as "kind", ? as "secret_hash", ? as "hint", ? as "name", ? as "remote_address", ? as "expires_at", ? as "access_expires_at", ? as "family_hash", ? as "refresh_hash", ? as "created_at", ? as "last_used_at", "users"."id" as "user_id", "grants"."id" as "grant_id", "grants"."client_id", "grants"."scope", "grants"."tenant", "grants"."decided_address" as "approved_address" from "grants" inner join "users" on "users"."id" = "grants"."user_id" where "grants"."secret_hash" = ? and coalesce("grants"."code_hash", ?) = ? and "grants"."client_id" = ? and "grants"."flow" = ? and "grants"."status" = ? and "grants"."expires_at" > ? and "users"."disabled_at" is null and (select count(*) as "n" from "credentials" as "live" where "live"."user_id" = "users"."id" and ("live"."kind" = ? and "live"."revoked_at" is null and "live"."expires_at" > ?) and ("live"."grant_id" is null or "live"."grant_id" != "grants"."id")) < ?',
    parameters: [
      'id',
      'kind',
      'secret_hash',
      'hint',
      'name',
      'remote_address',
      'expires_at',
      'access_expires_at',
      'family_hash',
      'refresh_hash',
      'now',
      'now',
      'grant_secret_hash',
      [''],
      'code_hash',
      'client_id',
      'flow',
      ['approved'],
      'now',
      'kind',
      'now',
      'max',
    ],
  },
  insertCredential: {
    sql: 'insert into "credentials" ("id", "kind", "secret_hash", "hint", "name", "remote_address", "expires_at", "access_expires_at", "family_hash", "refresh_hash", "created_at", "last_used_at", "user_id", "grant_id", "client_id", "scope", "tenant", "approved_address") values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
    parameters: [
      'id',
      'kind',
      'secret_hash',
      'hint',
      'name',
      'remote_address',
      'expires_at',
      'access_expires_at',
      'family_hash',
      'refresh_hash',
      'created_at',
      'last_used_at',
      'user_id',
      'grant_id',
      'client_id',
      'scope',
      'tenant',
      'approved_address',
    ],
  },
  createKey: {
    sql: 'insert into "credentials" ("id", "kind", "secret_hash", "hint", "name", "remote_address", "expires_at", "access_expires_at", "family_hash", "refresh_hash", "created_at", "last_used_at", "user_id", "grant_id", "client_id", "scope", "tenant", "approved_address") select ? as "id", ? as "kind", ? as "secret_hash", ? as "hint", ? as "name", ? as "remote_address", ? as "expires_at", ? as "access_expires_at", ? as "family_hash", ? as "refresh_hash", ? as "created_at", ? as "last_used_at", "users"."id" as "user_id", ? as "grant_id", ? as "client_id", ? as "scope", ? as "tenant", ? as "approved_address" from "users" where "users"."id" = ? and "users"."disabled_at" is null and (select count(*) as "n" from "credentials" as "live" where "live"."user_id" = "users"."id" and ("live"."kind" = ? and "live"."revoked_at" is null and "live"."expires_at" > ?) and "live"."id" != ?) < ?',
    parameters: [
      'id',
      'kind',
      'secret_hash',
      'hint',
      'name',
      'remote_address',
      'expires_at',
      'access_expires_at',
      'family_hash',
      'refresh_hash',
      'created_at',
      'created_at',
      'grant_id',
      'client_id',
      'scope',
      'tenant',
      'approved_address',
      'user_id',
      'kind',
      'created_at',
      'id',
      'max',
    ],
  },
  countCredentials: {
    sql: 'select count(*) as "n" from "credentials" as "live" where "live"."user_id" = ? and ("live"."kind" = ? and "live"."revoked_at" is null and "live"."expires_at" > ?)',
    parameters: ['user_id', 'kind', 'now'],
  },
  findCredential: {
    sql: 'select "users"."issuer", "users"."subject", "users"."name" as "user_name", "users"."email", "users"."disabled_at", "credentials".* from "credentials" inner join "users" on "users"."id" = "credentials"."user_id" where ("credentials"."secret_hash" = ? or "credentials"."previous_hash" = ?)',
    parameters: ['secret_hash', 'secret_hash'],
  },
  findCredentialById: {
    sql: 'select * from "credentials" where "id" = ?',
    parameters: ['id'],
  },
  findOwnCredential: {
    sql: 'select * from "credentials" where "id" = ? and "user_id" = ?',
    parameters: ['id', 'user_id'],
  },
  findFamily: {
    sql: 'select "users"."issuer", "users"."subject", "users"."name" as "user_name", "users"."email", "users"."disabled_at", "credentials".* from "credentials" inner join "users" on "users"."id" = "credentials"."user_id" where "credentials"."family_hash" = ?',
    parameters: ['family_hash'],
  },
  listCredentials: {
    sql: 'select * from "credentials" where "user_id" = ? order by ("revoked_at" is not null or "expires_at" <= ?), "created_at" desc, "id" desc limit ?',
    parameters: ['user_id', 'now', 'limit'],
  },
  touchCredential: {
    sql: 'update "credentials" set "last_used_at" = ?, "last_used_address" = ? where "id" = ? and "last_used_at" <= ?',
    parameters: ['now', 'address', 'id', 'before'],
  },
  noteFirstUse: {
    sql: 'update "credentials" set "first_used_at" = ?, "last_used_at" = ?, "last_used_address" = ? where "id" = ? and "first_used_at" is null',
    parameters: ['now', 'now', 'address', 'id'],
  },
  rotateCredential: {
    sql: 'update "credentials" set "previous_hash" = "secret_hash", "previous_until" = ?, "secret_hash" = ?, "hint" = ? where "id" = ? and "user_id" = ? and "secret_hash" = ? and "kind" = ? and "refresh_hash" is null and "revoked_at" is null and "expires_at" > ?',
    parameters: ['previous_until', 'new_hash', 'hint', 'id', 'user_id', 'secret_hash', ['api_key'], 'now'],
  },
  refreshCredential: {
    sql: 'update "credentials" set "previous_hash" = "secret_hash", "previous_until" = "access_expires_at", "secret_hash" = ?, "hint" = ?, "refresh_hash" = ?, "access_expires_at" = ?, "last_used_at" = ? where "id" = ? and "client_id" = ? and "refresh_hash" = ? and "revoked_at" is null and "expires_at" > ? and "last_used_at" > ? and exists (select "users"."id" from "users" where "users"."id" = "credentials"."user_id" and "users"."disabled_at" is null)',
    parameters: [
      'new_hash',
      'hint',
      'new_refresh_hash',
      'access_expires_at',
      'now',
      'id',
      'client_id',
      'refresh_hash',
      'now',
      'idle_since',
    ],
  },
  revokeCredential: {
    sql: 'update "credentials" set "revoked_at" = ?, "expires_at" = case when "expires_at" > ? then ? else "expires_at" end where "id" = ? and "user_id" = ? and "revoked_at" is null',
    parameters: ['now', 'keep_until', 'keep_until', 'id', 'user_id'],
  },
  revokeCredentials: {
    sql: 'update "credentials" set "revoked_at" = ?, "expires_at" = case when "expires_at" > ? then ? else "expires_at" end where "user_id" = ? and "kind" in (?, ?, ?) and "id" != ? and "revoked_at" is null',
    parameters: ['now', 'keep_until', 'keep_until', 'user_id', 'kind1', 'kind2', 'kind3', 'except'],
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
  listSteps: {
    sql: 'select "name" from "pairgate_migrations"',
    parameters: [],
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
  listEvents: {
    sql: 'select "events"."id", "events"."at", "events"."type", "events"."user_id", "events"."client_id", "events"."grant_id", "events"."credential_id", "events"."remote_address", "events"."request_id", "events"."detail", "users"."issuer", "users"."subject", "users"."name" as "user_name", "users"."email", "users"."disabled_at" from "events" left join "users" on "users"."id" = "events"."user_id" where "events"."at" >= ? and "events"."at" <= ? and ("events"."at" < ? or ("events"."at" = ? and "events"."id" < ?)) and (? is null or "events"."type" = ?) order by "events"."at" desc, "events"."id" desc limit ?',
    parameters: ['since', 'before', 'before', 'before', 'id', 'type', 'type', 'limit'],
  },
  listEventsOf: {
    sql: 'select "events"."id", "events"."at", "events"."type", "events"."user_id", "events"."client_id", "events"."grant_id", "events"."credential_id", "events"."remote_address", "events"."request_id", "events"."detail", "users"."issuer", "users"."subject", "users"."name" as "user_name", "users"."email", "users"."disabled_at" from "events" left join "users" on "users"."id" = "events"."user_id" where "events"."at" >= ? and "events"."at" <= ? and ("events"."at" < ? or ("events"."at" = ? and "events"."id" < ?)) and (? is null or "events"."type" = ?) and "events"."user_id" = ? order by "events"."at" desc, "events"."id" desc limit ?',
    parameters: ['since', 'before', 'before', 'before', 'id', 'type', 'type', 'user_id', 'limit'],
  },
  insertDelivery: {
    sql: 'insert into "deliveries" ("id", "event_id", "endpoint", "attempts", "next_at", "created_at") values (?, ?, ?, ?, ?, ?)',
    parameters: ['id', 'event_id', 'endpoint', 'attempts', 'next_at', 'created_at'],
  },
  findDelivery: {
    sql: 'select * from "deliveries" where "id" = ?',
    parameters: ['id'],
  },
  dueDeliveries: {
    sql: 'select "events"."id", "events"."at", "events"."type", "events"."user_id", "events"."client_id", "events"."grant_id", "events"."credential_id", "events"."remote_address", "events"."request_id", "events"."detail", "users"."issuer", "users"."subject", "users"."name" as "user_name", "users"."email", "users"."disabled_at", "deliveries"."id" as "delivery_id", "deliveries"."event_id", "deliveries"."endpoint", "deliveries"."attempts", "deliveries"."next_at", "deliveries"."created_at" from "deliveries" inner join "events" on "events"."id" = "deliveries"."event_id" left join "users" on "users"."id" = "events"."user_id" where "deliveries"."next_at" <= ? order by "deliveries"."next_at" limit ?',
    parameters: ['now', 'limit'],
  },
  claimDelivery: {
    sql: 'update "deliveries" set "attempts" = "attempts" + ?, "next_at" = ? where "id" = ? and "attempts" = ? and "next_at" = ?',
    parameters: [[1], 'until', 'id', 'attempts', 'next_at'],
  },
  dropDelivery: {
    sql: 'delete from "deliveries" where "id" = ?',
    parameters: ['id'],
  },
  dropGrants: {
    sql: 'delete from "grants" where rowid in (select rowid as "rowid" from "grants" where "expires_at" < ? order by "expires_at" limit ?)',
    parameters: ['before', 'batch'],
  },
  dropCredentials: {
    sql: 'delete from "credentials" where rowid in (select rowid as "rowid" from "credentials" where "expires_at" < ? order by "expires_at" limit ?)',
    parameters: ['before', 'batch'],
  },
  dropLimits: {
    sql: 'delete from "limits" where rowid in (select rowid as "rowid" from "limits" where "bucket" < ? order by "bucket" limit ?)',
    parameters: ['before', 'batch'],
  },
  dropEvents: {
    sql: 'delete from "events" where rowid in (select rowid as "rowid" from "events" where "at" < ? order by "at" limit ?)',
    parameters: ['before', 'batch'],
  },
  dropDeliveries: {
    sql: 'delete from "deliveries" where rowid in (select rowid as "rowid" from "deliveries" where "next_at" < ? order by "next_at" limit ?)',
    parameters: ['before', 'batch'],
  },
}

/** Makes the table that notes which steps were done. */
export const STEPS_TABLE: string =
  'create table if not exists "pairgate_migrations" ("name" varchar(255) not null primary key, "timestamp" varchar(255) not null)'

/** Notes that the step of this name was done. */
export const NOTE_STEP: string =
  'insert or ignore into "pairgate_migrations" ("name", "timestamp") values (?, strftime(\'%Y-%m-%dT%H:%M:%fZ\', \'now\'))'

/** Every step of migrations.ts. */
export const STEPS: Record<string, readonly string[]> = {
  '0001_tables': [
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
  ],
  '0002_credentials': [
    'alter table "grants" add column "tenant" varchar(255)',
    'alter table "grants" add column "decided_address" varchar(64)',
    'alter table "credentials" add column "tenant" varchar(255)',
    'alter table "credentials" add column "approved_address" varchar(64)',
    'alter table "credentials" add column "access_expires_at" bigint',
    'alter table "credentials" add column "previous_hash" varchar(64)',
    'alter table "credentials" add column "previous_until" bigint',
    'alter table "credentials" add column "family_hash" varchar(64)',
    'alter table "credentials" add column "refresh_hash" varchar(64)',
    'alter table "credentials" add column "first_used_at" bigint',
    'alter table "credentials" add column "last_used_address" varchar(64)',
    'create unique index if not exists "credentials_previous_hash" on "credentials" ("previous_hash")',
    'create unique index if not exists "credentials_family_hash" on "credentials" ("family_hash")',
    'update "credentials" set "first_used_at" = "last_used_at" where "first_used_at" is null and "last_used_at" > "created_at"',
    'create index if not exists "events_user_id_at" on "events" ("user_id", "at")',
    'create table if not exists "deliveries" ("id" varchar(64) not null primary key, "event_id" varchar(64) not null, "endpoint" varchar(64) not null, "attempts" integer not null, "next_at" bigint not null, "created_at" bigint not null)',
    'create index if not exists "deliveries_next_at" on "deliveries" ("next_at")',
  ],
  '0003_loopback': [
    'alter table "grants" add column "loopback_port" integer',
    'alter table "grants" add column "loopback_state" varchar(128)',
    'alter table "grants" add column "code_hash" varchar(64)',
  ],
  '0004_decisions': [
    'create index if not exists "grants_decided_at" on "grants" ("decided_at") where "decided_at" is not null',
    'create index if not exists "grants_user_id" on "grants" ("user_id") where "user_id" is not null',
  ],
}
