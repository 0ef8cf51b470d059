-- Who is logged in: the cookie's value is not here, only its hash.
create table toygres.session (
    hash bytea primary key check (length(hash) = 32),
    account uuid not null references toygres.account on delete cascade,
    -- The account's when the session was opened: a newer one there makes this session useless.
    auth_epoch bigint not null,
    data jsonb not null default '{}',
    sudo_until timestamptz,
    sudo_failures int not null default 0,
    created_at timestamptz not null default clock_timestamp(),
    seen_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null
);
create index session_expiry on toygres.session (expires_at);
