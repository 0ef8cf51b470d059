-- What Toygres knows: accounts, stores, instances, images, jobs and their logs.

create table toygres.platform (
    id uuid primary key,
    kind text not null check (kind in ('local', 'kubernetes')),
    identity text not null check (identity <> ''),
    created_at timestamptz not null default clock_timestamp(),
    unique (kind, identity)
);

create table toygres.store (
    id uuid primary key,
    name text not null unique check (length(name) between 1 and 63),
    url text not null unique check (length(url) between 1 and 1000),
    is_default boolean not null default false,
    created_at timestamptz not null default clock_timestamp()
);
create unique index store_default on toygres.store (is_default) where is_default;

create table toygres.account (
    id uuid primary key,
    name text not null check (length(name) between 1 and 100),
    role text not null check (role in ('viewer', 'operator', 'admin')),
    password_hash text not null,
    must_change_password boolean not null default false,
    disabled boolean not null default false,
    -- Grows when sessions that were opened before must not count any more.
    auth_epoch bigint not null default 1 check (auth_epoch > 0),
    created_at timestamptz not null default clock_timestamp(),
    last_login_at timestamptz
);
create unique index account_name on toygres.account (lower(name));

-- Guesses at a password, by account and by address.
create table toygres.login_guess (
    key text primary key,
    failures int not null check (failures > 0),
    blocked_until timestamptz not null,
    last_at timestamptz not null default clock_timestamp()
);

create table toygres.token (
    id uuid primary key,
    name text not null check (length(name) between 1 and 100),
    hash bytea not null unique check (length(hash) = 32),
    role text not null check (role in ('viewer', 'operator', 'admin')),
    sudo boolean not null default false,
    created_by text not null,
    created_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz
);

create table toygres.audit (
    id bigint generated always as identity primary key,
    at timestamptz not null default clock_timestamp(),
    actor text not null,
    action text not null,
    subject text not null,
    outcome text not null,
    run uuid
);
-- Nothing of it is ever changed or taken away.
create function toygres.audit_is_append_only() returns trigger language plpgsql as $$
begin
    raise exception 'the audit is append-only';
end
$$;
create trigger audit_append_only before update or delete or truncate on toygres.audit
    execute function toygres.audit_is_append_only();

-- The keys that secrets are sealed with, by their ids; the keys themselves are elsewhere. The canary tells the right one.
create table toygres.encryption_key (
    key_id text primary key,
    canary bytea not null,
    active boolean not null default true,
    created_at timestamptz not null default clock_timestamp()
);
create unique index encryption_key_active on toygres.encryption_key (active) where active;

create table toygres.secret (
    kind text not null check (kind in ('instance-password', 'image-password')),
    owner uuid not null,
    key_id text not null references toygres.encryption_key,
    sealed bytea not null,
    primary key (kind, owner)
);

create table toygres.instance (
    id uuid primary key,
    name text not null check (name ~ '^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$'),
    platform uuid not null references toygres.platform,
    origin text not null check (origin in ('managed', 'external')),
    status text not null check (status in ('creating', 'running', 'stopped', 'failed', 'deleting')),
    image_type text not null check (image_type in ('stock', 'pg_durable')),
    version text,
    major int check (major between 9 and 99),
    host text,
    port int check (port between 1 and 65535),
    username text not null,
    database text not null,
    tls text not null check (tls in ('disable', 'prefer', 'require', 'verify-full')),
    trust_loopback boolean not null default false,
    preload text[] not null default '{}',
    dns_label text,
    source_image uuid,
    health text not null default 'unknown' check (health in ('ok', 'down', 'unknown')),
    health_detail text,
    health_at timestamptz,
    size_bytes bigint check (size_bytes >= 0),
    databases text[] not null default '{}',
    run uuid,
    created_at timestamptz not null default clock_timestamp(),
    check (origin = 'managed' or status = 'running'),
    check (status <> 'running' or (host is not null and port is not null))
);
-- The name of an instance that could not be made is free again.
create unique index instance_name on toygres.instance (platform, name) where status <> 'failed';

create table toygres.image (
    id uuid primary key,
    name text not null check (name ~ '^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$'),
    description text not null default '' check (length(description) <= 2000),
    instance uuid references toygres.instance on delete set null,
    instance_name text not null,
    kind text not null default 'logical' check (kind in ('logical', 'physical')),
    image_type text not null check (image_type in ('stock', 'pg_durable')),
    status text not null check (status in ('creating', 'available', 'failed', 'corrupt', 'deleting')),
    username text not null,
    selection text[] not null default '{}',
    trust_loopback boolean not null default false,
    version text,
    major int,
    source_bytes bigint,
    stored_bytes bigint,
    databases int,
    tables bigint,
    rows bigint,
    duration_ms bigint,
    store uuid not null references toygres.store,
    -- The attempt that won; relative to the store.
    prefix text,
    manifest jsonb,
    run uuid,
    created_by text not null,
    created_at timestamptz not null default clock_timestamp(),
    verified_at timestamptz,
    proven_at timestamptz,
    error text,
    -- An image that one can restore has objects and a description of them.
    check (status not in ('available', 'corrupt') or (prefix is not null and manifest is not null))
);
create unique index image_name on toygres.image (name) where status <> 'failed';
create index image_newest on toygres.image (created_at desc);
create index image_of_instance on toygres.image (instance, created_at desc);

-- A job that some run launched: who follows its events, and how far.
create table toygres.job (
    name text primary key,
    platform uuid not null references toygres.platform,
    run_id uuid not null references toygres.run on delete cascade,
    step text not null,
    attempt int not null,
    position int not null,
    store_url text,
    log_prefix text,
    -- The last agent event whose line is kept.
    seq bigint not null default 0,
    result jsonb,
    reason text,
    created_at timestamptz not null default clock_timestamp(),
    ended_at timestamptz,
    epoch bigint not null default 0,
    worker text,
    lease_until timestamptz,
    check ((worker is null) = (lease_until is null))
);
create index job_open on toygres.job (platform, created_at) where ended_at is null;

create table toygres.run_log (
    run_id uuid primary key references toygres.run on delete cascade,
    lines bigint not null check (lines >= 0)
);

create table toygres.log_chunk (
    run_id uuid not null,
    first bigint not null check (first > 0),
    last bigint not null,
    at timestamptz not null default clock_timestamp(),
    lines jsonb not null check (jsonb_typeof(lines) = 'array'),
    primary key (run_id, first, at),
    check (last >= first)
) partition by range (at);
create table toygres.log_chunk_default partition of toygres.log_chunk default;

-- Makes the partitions of this week and the next, and drops those that are older than so many days.
create function toygres.keep_logs(days int) returns void language plpgsql as $$
declare
    week date;
    part text;
begin
    for i in 0..1 loop
        week := date_trunc('week', clock_timestamp())::date + 7 * i;
        part := 'log_chunk_' || to_char(week, 'IYYY"w"IW');
        if to_regclass('toygres.' || part) is null
            and not exists (select from toygres.log_chunk_default where at >= week and at < week + 7) then
            execute format('create table toygres.%I partition of toygres.log_chunk for values from (%L) to (%L)',
                part, week, week + 7);
        end if;
    end loop;
    for part in
        select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'toygres.log_chunk'::regclass and c.relname ~ '^log_chunk_\d{4}w\d\d$'
          and to_date(substr(c.relname, 11), 'IYYY"w"IW') + 7 < clock_timestamp() - make_interval(days => days)
    loop
        execute format('drop table toygres.%I', part);
    end loop;
    delete from toygres.log_chunk_default where at < clock_timestamp() - make_interval(days => days);
end
$$;
select toygres.keep_logs(90);

create function toygres.notify_log() returns trigger language plpgsql as $$
begin
    perform pg_notify('toygres_run', new.run_id::text);
    return null;
end
$$;
create trigger run_log_notify after insert or update on toygres.run_log
    for each row execute function toygres.notify_log();

-- Adds one line to a run's log.
create function toygres.log_line(run uuid, level text, step text, message text) returns void language sql as $$
    with counted as (
        insert into toygres.run_log (run_id, lines) values (run, 1)
        on conflict (run_id) do update set lines = toygres.run_log.lines + 1 returning lines
    )
    insert into toygres.log_chunk (run_id, first, last, lines)
    select run, lines, lines, jsonb_build_array(jsonb_build_object(
        'at', to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        'level', level, 'step', step, 'message', left(message, 8192)))
    from counted
$$;

-- What the engine does is in the log too, so that a run without jobs has one, and one with jobs has it in order.
create function toygres.log_step() returns trigger language plpgsql as $$
declare
    words text := lower(regexp_replace(new.name, '(?<!^)([A-Z])', ' \1', 'g'));
begin
    case new.state
        when 'running' then
            if old.state = 'todo' then
                perform toygres.log_line(new.run_id, 'info', new.name, words || ' begins');
            elsif old.state = 'retrying' then
                perform toygres.log_line(new.run_id, 'info', new.name,
                    words || ' begins again, try ' || new.attempt || ' of ' || new.attempts);
            end if;
        when 'done' then perform toygres.log_line(new.run_id, 'info', new.name, words || ' is done');
        when 'retrying' then
            perform toygres.log_line(new.run_id, 'warn', new.name, words || ' failed and will be tried again: ' || new.error);
        when 'failed' then
            perform toygres.log_line(new.run_id, 'error', new.name, words || ' failed: ' || coalesce(new.error, ''));
        when 'undone' then perform toygres.log_line(new.run_id, 'info', new.name, words || ' is undone');
        when 'stuck' then
            perform toygres.log_line(new.run_id, 'error', new.name, words || ' could not be undone: ' || coalesce(new.error, ''));
        else null;
    end case;
    return null;
end
$$;
create trigger step_log after update of state on toygres.step
    for each row when (old.state is distinct from new.state) execute function toygres.log_step();

create function toygres.log_run() returns trigger language plpgsql as $$
begin
    perform toygres.log_line(new.id, case when new.state in ('succeeded') then 'info' when new.state = 'undoing' then 'warn'
            when new.state = 'cancelled' then 'warn' else 'error' end, '',
        case new.state
            when 'undoing' then case when old.state = 'stuck' then 'undoing goes on' when new.cancel and new.error is null
                then 'cancelled: what was done is being undone' else 'what was done is being undone' end
            when 'stuck' then 'stuck: a person is needed'
            else 'the run has ' || case new.state when 'succeeded' then 'succeeded' when 'cancelled' then 'been cancelled'
                else 'failed' end end);
    return null;
end
$$;
create trigger run_log_state after update of state on toygres.run
    for each row when (old.state is distinct from new.state and new.state <> 'running') execute function toygres.log_run();

-- What nobody but one worker at a time does: looking after health, sweeping.
create table toygres.duty (
    name text primary key,
    worker text not null,
    lease_until timestamptz not null
);

create view toygres.instance_seen as
select i.*,
    (select max(m.created_at) from toygres.image m where m.instance = i.id and m.status = 'available') as last_image_at,
    (select max(m.proven_at) from toygres.image m where m.instance = i.id) as last_proven_at
from toygres.instance i;

create view toygres.run_seen as
select r.id, r.name as workflow, r.version, r.state, r.position, r.cancel, r.error, r.due_at, r.created_at, r.finished_at,
    r.labels,
    (select count(*)::int from toygres.step s where s.run_id = r.id) as steps,
    (select s.name from toygres.step s where s.run_id = r.id and s.position = r.position) as step,
    (select s.progress from toygres.step s where s.run_id = r.id and s.position = r.position) as progress,
    r.labels ->> 'title' as title,
    coalesce(r.labels ->> 'started_by', 'system') as started_by,
    (r.labels ->> 'instance')::uuid as instance,
    r.labels ->> 'instance_name' as instance_name,
    (r.labels ->> 'image')::uuid as image,
    r.labels ->> 'image_name' as image_name
from toygres.run r;
