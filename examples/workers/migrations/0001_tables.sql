-- Made by "npm run generate" from adapters/migrations.ts: do not edit.
create table if not exists "pairgate_migrations" ("name" varchar(255) not null primary key, "timestamp" varchar(255) not null);
create table if not exists "users" ("id" varchar(64) not null primary key, "issuer" varchar(255) not null, "subject" varchar(255) not null, "name" varchar(255), "email" varchar(255), "disabled_at" bigint, "created_at" bigint not null, "updated_at" bigint not null);
create table if not exists "grants" ("id" varchar(64) not null primary key, "flow" varchar(8) not null, "client_id" varchar(128) not null, "secret_hash" varchar(64) not null unique, "user_code" varchar(16) unique, "match_code" varchar(32), "scope" varchar(1024) not null, "device_name" varchar(255), "remote_address" varchar(64), "status" varchar(8) not null, "user_id" varchar(64), "poll_interval" integer not null, "created_at" bigint not null, "expires_at" bigint not null, "decided_at" bigint);
create index if not exists "grants_expires_at" on "grants" ("expires_at");
create table if not exists "credentials" ("id" varchar(64) not null primary key, "kind" varchar(8) not null, "user_id" varchar(64) not null, "grant_id" varchar(64) unique, "client_id" varchar(128), "secret_hash" varchar(64) not null unique, "hint" varchar(16) not null, "name" varchar(255) not null, "scope" varchar(1024) not null, "remote_address" varchar(64), "created_at" bigint not null, "expires_at" bigint not null, "last_used_at" bigint not null, "revoked_at" bigint);
create index if not exists "credentials_user_id" on "credentials" ("user_id");
create index if not exists "credentials_expires_at" on "credentials" ("expires_at");
create table if not exists "limits" ("key" varchar(191) not null, "bucket" bigint not null, "n" integer not null, constraint "limits_primary" primary key ("key", "bucket"));
create index if not exists "limits_bucket" on "limits" ("bucket");
create table if not exists "events" ("id" varchar(64) not null primary key, "at" bigint not null, "type" varchar(32) not null, "user_id" varchar(64), "client_id" varchar(128), "grant_id" varchar(64), "credential_id" varchar(64), "remote_address" varchar(64), "request_id" varchar(64), "detail" varchar(255));
create index if not exists "events_at" on "events" ("at");
insert or ignore into "pairgate_migrations" ("name", "timestamp") values ('0001_tables', strftime('%Y-%m-%dT%H:%M:%fZ', 'now'));
