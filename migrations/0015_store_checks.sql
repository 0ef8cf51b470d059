-- Comparison of the stores with the state database, and the retention of runs, log lines and audit entries.

-- When the objects of a store were last compared with the rows, and why they could not be.
alter table toygres.store
    add column checked_at timestamptz,
    add column check_error text,
    add column check_error_code text check (check_error_code <> ''),
    add column check_error_subject text;

alter table toygres.image
    -- When all its objects were last found with their sizes.
    add column objects_checked_at timestamptz,
    -- When its last scheduled verification was started.
    add column verification_started_at timestamptz;

-- Objects below a prefix that no row needs. They are listed for users from the second sighting on.
create table toygres.unused_prefix (
    store uuid not null references toygres.store on delete cascade,
    prefix text not null check (length(prefix) between 1 and 200),
    objects bigint not null check (objects > 0),
    bytes bigint not null check (bytes >= 0),
    first_seen timestamptz not null default clock_timestamp(),
    last_seen timestamptz not null default clock_timestamp(),
    quarantined_at timestamptz,
    primary key (store, prefix)
);

-- An audit entry can be deleted when it is older than 400 days; it can never be changed.
drop trigger audit_append_only on toygres.audit;
create trigger audit_append_only before update or truncate on toygres.audit
    execute function toygres.audit_is_append_only();
create function toygres.audit_is_retained() returns trigger language plpgsql as $$
begin
    if old.at > clock_timestamp() - interval '400 days' then
        raise exception 'audit entries are retained for at least 400 days';
    end if;
    return old;
end
$$;
create trigger audit_retained before delete on toygres.audit
    for each row execute function toygres.audit_is_retained();
create index audit_at on toygres.audit using brin (at);

-- Deletes the oldest log lines until those that remain have at most this size in bytes: whole weeks first, then the lines of ended
-- runs. The lines of active runs are kept.
create function toygres.limit_logs(bytes bigint) returns void language plpgsql as $$
declare
    part text;
    used bigint;
begin
    loop
        select coalesce(sum(pg_total_relation_size(inhrelid)), 0) into used
        from pg_inherits where inhparent = 'toygres.log_chunk'::regclass;
        if used <= bytes then
            return;
        end if;
        select c.relname into part from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'toygres.log_chunk'::regclass and c.relname ~ '^log_chunk_\d{4}w\d\d$'
          and to_date(substr(c.relname, 11), 'IYYY"w"IW') + 7 <= clock_timestamp()
        order by c.relname limit 1;
        exit when part is null;
        execute format('drop table toygres.%I', part);
    end loop;
    -- The size of a table does not shrink with its rows, so the rows are measured.
    delete from toygres.log_chunk where run_id in (
        select run_id from (
            select s.run_id, r.id is null or r.finished_at is not null as ended,
                sum(s.size) over (order by
                    coalesce(r.finished_at, case when r.id is null then timestamptz '-infinity' else 'infinity' end) desc,
                    s.run_id) as total
            from (select l.run_id, sum(pg_column_size(l.lines)) as size from toygres.log_chunk l group by l.run_id) s
            left join toygres.run r on r.id = s.run_id
        ) ranked where ended and total > bytes);
end
$$;
