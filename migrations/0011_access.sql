-- Throttled attempts and who acted.

-- The end of the last pause whose refusals have a row in the audit log: one row a pause, however many attempts are refused.
alter table toygres.login_guess add column audited_until timestamptz;

-- Who acted, apart from the name, which accounts and tokens choose freely. Null in rows of earlier versions.
alter table toygres.audit
    add column actor_kind text check (actor_kind in ('account', 'token', 'system', 'command_line', 'anonymous')),
    add column actor_id uuid;

-- The account that created a token. Null for tokens of the command line and of earlier versions.
alter table toygres.token add column owner uuid references toygres.account on delete cascade;
create index token_owner on toygres.token (owner) where owner is not null;

-- Answers to POST requests with an idempotency key, for a day. A row without an answer is of a request in progress.
create table toygres.idempotency (
    actor uuid not null,
    key text not null check (length(key) between 1 and 200),
    request bytea not null check (length(request) = 32),
    status int check (status between 200 and 299),
    body bytea,
    created_at timestamptz not null default clock_timestamp(),
    primary key (actor, key),
    check ((status is null) = (body is null))
);
create index idempotency_age on toygres.idempotency (created_at);
