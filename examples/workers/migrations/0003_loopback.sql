-- Made by "npm run generate" from adapters/migrations.ts: do not edit.
create table if not exists "pairgate_migrations" ("name" varchar(255) not null primary key, "timestamp" varchar(255) not null);
alter table "grants" add column "loopback_port" integer;
alter table "grants" add column "loopback_state" varchar(128);
alter table "grants" add column "code_hash" varchar(64);
insert or ignore into "pairgate_migrations" ("name", "timestamp") values ('0003_loopback', strftime('%Y-%m-%dT%H:%M:%fZ', 'now'));
