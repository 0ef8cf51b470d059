-- Durable runs: a run is a list of steps, all written before the first one starts. Knows no backups.
create schema if not exists toygres;

create table toygres.run (
    id uuid primary key,
    name text not null check (name <> ''),
    version int not null check (version > 0),
    -- Which workers may take it: those that serve this pool.
    pool text not null,
    input jsonb not null,
    -- What the program that starts runs wants to know of them; the engine does not read it.
    labels jsonb not null default '{}' check (jsonb_typeof(labels) = 'object'),
    state text not null default 'running'
        check (state in ('running', 'undoing', 'succeeded', 'failed', 'cancelled', 'stuck')),
    -- The step that it is at.
    position int not null default 0 check (position >= 0),
    -- When a worker may take it; none when nothing will happen without a person.
    due_at timestamptz default clock_timestamp(),
    -- How often it was taken since it last came forward: bounds crash loops.
    claims int not null default 0 check (claims >= 0),
    -- Grows with each claim; each write of a worker names the one that it believes in.
    epoch bigint not null default 0 check (epoch >= 0),
    worker text,
    lease_until timestamptz,
    -- Somebody asked to wake it while a worker had it.
    woken boolean not null default false,
    cancel boolean not null default false,
    -- The first thing that went wrong for good.
    error text,
    created_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    check ((worker is null) = (lease_until is null)),
    check ((finished_at is not null) = (state in ('succeeded', 'failed', 'cancelled'))),
    check ((due_at is not null) = (state in ('running', 'undoing'))),
    check (worker is null or state in ('running', 'undoing')),
    check (state not in ('undoing', 'failed', 'stuck') or error is not null or cancel),
    check (state <> 'cancelled' or cancel)
);

create index run_due on toygres.run (due_at) where due_at is not null;
create index run_newest on toygres.run (created_at desc);
create index run_labels on toygres.run using gin (labels jsonb_path_ops);

create table toygres.step (
    run_id uuid not null references toygres.run on delete cascade,
    position int not null check (position >= 0),
    name text not null check (name <> ''),
    state text not null default 'todo' check (state in
        ('todo', 'running', 'waiting', 'retrying', 'done', 'failed', 'undoing', 'undone', 'skipped', 'stuck')),
    -- Which try this is; grows only after a recorded failure.
    attempt int not null default 0 check (attempt >= 0),
    attempts int not null check (attempts > 0),
    undo_attempt int not null default 0 check (undo_attempt >= 0),
    -- How long the step may take in all, and when that is over.
    allowed interval not null check (allowed > interval '0'),
    deadline timestamptz,
    output jsonb,
    error text,
    progress jsonb,
    started_at timestamptz,
    finished_at timestamptz,
    primary key (run_id, position),
    unique (run_id, name),
    check (attempt <= attempts),
    check ((attempt > 0) = (started_at is not null)),
    check (state not in ('todo', 'skipped') or attempt = 0),
    check (state <> 'done' or (output is not null and finished_at is not null))
);

create table toygres.run_lock (
    run_id uuid not null references toygres.run on delete cascade,
    key text not null check (key <> ''),
    shared boolean not null,
    primary key (run_id, key)
);

create unique index run_lock_exclusive on toygres.run_lock (key) where not shared;
create index run_lock_key on toygres.run_lock (key);

-- A hint to be quick: listeners fetch again what they show or claim. Polling makes it right.
create function toygres.notify_run() returns trigger language plpgsql as $$
begin
    if tg_table_name = 'run' then
        perform pg_notify('toygres_run', new.id::text);
    else
        perform pg_notify('toygres_run', new.run_id::text);
    end if;
    return null;
end
$$;

-- Renewals of a lease change nothing that anybody shows.
create trigger run_notify after insert or update of state, position, due_at, cancel, error on toygres.run
    for each row execute function toygres.notify_run();
create trigger step_notify after update on toygres.step
    for each row execute function toygres.notify_run();
