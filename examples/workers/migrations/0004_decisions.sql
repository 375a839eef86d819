-- Made by "npm run generate" from adapters/migrations.ts: do not edit.
create table if not exists "pairgate_migrations" ("name" varchar(255) not null primary key, "timestamp" varchar(255) not null);
create index if not exists "grants_decided_at" on "grants" ("decided_at") where "decided_at" is not null;
create index if not exists "grants_user_id" on "grants" ("user_id") where "user_id" is not null;
insert or ignore into "pairgate_migrations" ("name", "timestamp") values ('0004_decisions', strftime('%Y-%m-%dT%H:%M:%fZ', 'now'));
