-- Effects of the steps, and triggers that check every write of a worker. `application_name` names the writer.
create schema oracle;

create table oracle.effect (
    run_id uuid not null,
    step text not null,
    attempt int not null,
    times int not null default 1,
    undone boolean not null default false,
    primary key (run_id, step, attempt)
);
create table oracle.fenced (run_id uuid not null, epoch bigint not null, worker text not null);
create table oracle.accepted (run_id uuid not null, step text not null, worker text not null, epoch bigint not null, output jsonb not null);
create table oracle.claim (run_id uuid not null, epoch bigint not null, worker text not null, taken_over boolean not null);
create table oracle.foreign_write (violation text not null);

create function oracle.watch_run() returns trigger language plpgsql as $$
declare writer text := current_setting('application_name');
begin
    if new.epoch > old.epoch then
        insert into oracle.claim values (new.id, new.epoch, new.worker, old.worker is not null);
        if new.epoch <> old.epoch + 1 or new.worker <> writer
            or (old.lease_until is not null and old.lease_until >= clock_timestamp()) then
            insert into oracle.foreign_write values (format('%s claimed %s before its lease expired, or with a wrong epoch', writer, new.id));
        end if;
    elsif writer <> 'main' and old.worker is distinct from writer then
        insert into oracle.foreign_write values (format('%s changed run %s of %s', writer, new.id, old.worker));
    end if;
    return null;
end $$;
create trigger watch after update on toygres.run for each row execute function oracle.watch_run();

create function oracle.watch_step() returns trigger language plpgsql as $$
declare
    writer text := current_setting('application_name');
    holder record;
begin
    select worker, epoch into holder from toygres.run where id = new.run_id;
    if writer <> 'main' and holder.worker is distinct from writer then
        insert into oracle.foreign_write
        values (format('%s changed step %s of run %s of %s', writer, new.name, new.run_id, holder.worker));
    end if;
    if new.state = 'done' then
        insert into oracle.accepted values (new.run_id, new.name, writer, holder.epoch, new.output);
    end if;
    if new.attempt > greatest(old.attempt, 1) and (new.attempt <> old.attempt + 1 or new.state <> 'retrying') then
        insert into oracle.foreign_write values (format('run %s: attempt grew without a failure', new.run_id));
    end if;
    return null;
end $$;
create trigger watch after update on toygres.step for each row execute function oracle.watch_step();

-- Only the worker that holds the run may commit a fenced write.
create function oracle.watch_fenced() returns trigger language plpgsql as $$
begin
    if not exists (select from toygres.run where id = new.run_id and epoch = new.epoch and worker = new.worker) then
        insert into oracle.foreign_write values (format('%s committed a fenced write of run %s without a claim', new.worker, new.run_id));
    end if;
    return null;
end $$;
create trigger watch after insert on oracle.fenced for each row execute function oracle.watch_fenced();

create function oracle.violations() returns table (violation text) language sql as $$
    select w.violation from oracle.foreign_write w
    union all
    select format('run %s: %s results accepted for %s', run_id, count(*), step)
    from oracle.accepted group by run_id, step having count(*) > 1
    union all
    select format('run %s: the result of another worker was accepted for %s', run_id, step)
    from oracle.accepted where output ->> 'worker' <> worker or (output ->> 'epoch')::bigint <> epoch
    union all
    -- One effect for each attempt: a repeated call found the effect of the first.
    select format('run %s: effects of %s without an attempt, or attempts without an effect', r.id, s.name)
    from toygres.run r join toygres.step s on s.run_id = r.id
    where r.state = 'succeeded' and array(select generate_series(1, s.attempt)) <>
        array(select attempt from oracle.effect e where e.run_id = r.id and e.step = s.name order by attempt)
    union all
    select format('run %s: the accepted attempt of %s is not the last', s.run_id, s.name)
    from toygres.step s where s.state = 'done' and (s.output ->> 'attempt')::int <> s.attempt
    union all
    select format('run %s was rolled back, but the effect of %s remains', r.id, e.step)
    from toygres.run r join oracle.effect e on e.run_id = r.id
    where r.state in ('failed', 'cancelled') and not e.undone
    union all
    select format('run %s succeeded, but the effect of %s was undone', r.id, e.step)
    from toygres.run r join oracle.effect e on e.run_id = r.id where r.state = 'succeeded' and e.undone
    union all
    select format('run %s is %s, its step %s is %s', r.id, r.state, s.name, s.state)
    from toygres.run r join toygres.step s on s.run_id = r.id
    where (r.state = 'succeeded' and s.state <> 'done')
       or (r.state in ('failed', 'cancelled') and s.state not in ('undone', 'skipped'))
    union all
    select format('run %s has ended but holds a lock', run_id) from toygres.run_lock
$$;

create function oracle.statistics() returns table (statistic text) language sql as $$
    select format('%s claims', count(*)) from oracle.claim
    union all select format('%s taken over', count(*)) from oracle.claim where taken_over
    union all select format('%s effects found by repeated calls', count(*)) from oracle.effect where times > 1
$$;
