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
