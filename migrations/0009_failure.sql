-- Failures are stored as a code, a subject and the raw text (the existing columns `error`, `reason`, `health_detail`).
-- Rows of earlier versions have no code, which reads as 'other'.
alter table toygres.run
    add column error_code text check (error_code <> ''),
    add column error_subject text;

alter table toygres.step
    add column error_code text check (error_code <> ''),
    add column error_subject text,
    -- The failure of the first attempt, kept while later attempts fail differently: {code, subject, detail}.
    add column first_failure jsonb check (jsonb_typeof(first_failure) = 'object'),
    -- The newest failure of the rollback. The step's own failure and times stay as they are.
    add column undo_failure jsonb check (jsonb_typeof(undo_failure) = 'object'),
    add column undo_started_at timestamptz,
    add column undo_finished_at timestamptz;

alter table toygres.image
    add column error_code text check (error_code <> ''),
    add column error_subject text,
    -- How many databases that accept connections the source had.
    add column source_databases int check (source_databases >= 0);

alter table toygres.instance
    add column health_code text check (health_code <> ''),
    add column health_subject text;

alter table toygres.job
    add column error_code text check (error_code <> ''),
    add column error_subject text,
    -- What the job waits for before it starts: {code, subject, detail}.
    add column waiting jsonb check (jsonb_typeof(waiting) = 'object');

-- Cancellation was recorded as a text.
update toygres.image set error_code = 'cancelled' where status = 'failed' and error = 'Cancelled.';
update toygres.instance set health_code = 'cancelled' where status = 'failed' and health_detail = 'Cancelled.';
-- A backup without a selection copied every database.
update toygres.image set source_databases = databases where selection = '{}';

-- The columns of a view are fixed when it is created.
drop view toygres.instance_seen;
create view toygres.instance_seen as
select i.*,
    (select max(m.created_at) from toygres.image m where m.instance = i.id and m.status = 'available') as last_image_at,
    (select max(m.proven_at) from toygres.image m where m.instance = i.id) as last_proven_at
from toygres.instance i;

drop view toygres.run_seen;
create view toygres.run_seen as
select r.id, r.name as workflow, r.version, r.state, r.position, r.cancel, r.error, r.error_code, r.error_subject,
    r.due_at, r.created_at, r.finished_at, r.labels,
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

-- The engine's log lines are events with parameters; `crates/control/src/logs/events.rs` turns them into text.
-- `message` is there for servers of the version before.
create function toygres.log_event(run uuid, level text, step text, event text, parameters jsonb)
returns void language sql as $$
    with counted as (
        insert into toygres.run_log (run_id, lines) values (run, 1)
        on conflict (run_id) do update set lines = toygres.run_log.lines + 1 returning lines
    )
    insert into toygres.log_chunk (run_id, first, last, lines)
    select run, lines, lines, jsonb_build_array(jsonb_strip_nulls(jsonb_build_object(
        'at', to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        'level', level, 'step', step, 'message', '', 'event', event) || parameters))
    from counted
$$;

create or replace function toygres.log_step() returns trigger language plpgsql as $$
declare
    failure jsonb := jsonb_build_object('code', new.error_code, 'detail', left(new.error, 8192));
    attempt jsonb := jsonb_build_object('attempt', new.attempt, 'attempts', new.attempts);
begin
    case new.state
        when 'running' then
            if old.state = 'todo' then
                perform toygres.log_event(new.run_id, 'info', new.name, 'step_started', '{}');
            elsif old.state = 'retrying' then
                perform toygres.log_event(new.run_id, 'info', new.name, 'step_restarted', attempt);
            end if;
        when 'done' then perform toygres.log_event(new.run_id, 'info', new.name, 'step_succeeded', '{}');
        when 'retrying' then
            perform toygres.log_event(new.run_id, 'warn', new.name, 'step_will_retry', failure || attempt);
        when 'failed' then perform toygres.log_event(new.run_id, 'error', new.name, 'step_failed', failure);
        when 'undone' then perform toygres.log_event(new.run_id, 'info', new.name, 'step_rolled_back', '{}');
        when 'stuck' then
            perform toygres.log_event(new.run_id, 'error', new.name, 'rollback_failed', jsonb_build_object(
                'code', new.undo_failure ->> 'code',
                'detail', left(coalesce(new.undo_failure ->> 'detail', new.error), 8192)));
        else null;
    end case;
    return null;
end
$$;

create or replace function toygres.log_run() returns trigger language plpgsql as $$
begin
    perform toygres.log_event(new.id,
        case new.state when 'succeeded' then 'info' when 'undoing' then 'warn' when 'cancelled' then 'warn' else 'error' end,
        '',
        case new.state
            when 'undoing' then case
                when old.state = 'stuck' then 'rollback_resumed'
                when new.cancel and new.error is null then 'run_cancelling'
                else 'run_rolling_back' end
            else 'run_' || new.state end,
        '{}');
    return null;
end
$$;
drop function toygres.log_line(uuid, text, text, text);
