-- The world of the steps, and triggers that watch every write of a worker. `application_name` says who writes.
create schema world;

create table world.effect (
    run_id uuid not null,
    step text not null,
    attempt int not null,
    times int not null default 1,
    undone boolean not null default false,
    primary key (run_id, step, attempt)
);
create table world.fenced (run_id uuid not null, epoch bigint not null, worker text not null);
create table world.accepted (run_id uuid not null, step text not null, worker text not null, epoch bigint not null, output jsonb not null);
create table world.claim (run_id uuid not null, epoch bigint not null, worker text not null, taken_over boolean not null);
create table world.foreign_write (what text not null);

create function world.watch_run() returns trigger language plpgsql as $$
declare writer text := current_setting('application_name');
begin
    if new.epoch > old.epoch then
        insert into world.claim values (new.id, new.epoch, new.worker, old.worker is not null);
        if new.epoch <> old.epoch + 1 or new.worker <> writer
            or (old.lease_until is not null and old.lease_until >= clock_timestamp()) then
            insert into world.foreign_write values (format('%s claimed %s wrongly', writer, new.id));
        end if;
    elsif writer <> 'main' and old.worker is distinct from writer then
        insert into world.foreign_write values (format('%s changed run %s of %s', writer, new.id, old.worker));
    end if;
    return null;
end $$;
create trigger watch after update on toygres.run for each row execute function world.watch_run();

create function world.watch_step() returns trigger language plpgsql as $$
declare
    writer text := current_setting('application_name');
    holder record;
begin
    select worker, epoch into holder from toygres.run where id = new.run_id;
    if writer <> 'main' and holder.worker is distinct from writer then
        insert into world.foreign_write
        values (format('%s changed step %s of run %s of %s', writer, new.name, new.run_id, holder.worker));
    end if;
    if new.state = 'done' then
        insert into world.accepted values (new.run_id, new.name, writer, holder.epoch, new.output);
    end if;
    if new.attempt > greatest(old.attempt, 1) and (new.attempt <> old.attempt + 1 or new.state <> 'retrying') then
        insert into world.foreign_write values (format('run %s: attempt grew without a failure', new.run_id));
    end if;
    return null;
end $$;
create trigger watch after update on toygres.step for each row execute function world.watch_step();

-- Whoever is not the holder of the moment has no business in a fenced write.
create function world.watch_fenced() returns trigger language plpgsql as $$
begin
    if not exists (select from toygres.run where id = new.run_id and epoch = new.epoch and worker = new.worker) then
        insert into world.foreign_write values (format('%s wrote behind the fence of run %s', new.worker, new.run_id));
    end if;
    return null;
end $$;
create trigger watch after insert on world.fenced for each row execute function world.watch_fenced();

create function world.wrong() returns table (what text) language sql as $$
    select w.what from world.foreign_write w
    union all
    select format('run %s: %s results accepted for %s', run_id, count(*), step)
    from world.accepted group by run_id, step having count(*) > 1
    union all
    select format('run %s: the result of another was accepted for %s', run_id, step)
    from world.accepted where output ->> 'worker' <> worker or (output ->> 'epoch')::bigint <> epoch
    union all
    -- One effect for each attempt: a repeat met the one that was there.
    select format('run %s: effects of %s without an attempt, or attempts without an effect', r.id, s.name)
    from toygres.run r join toygres.step s on s.run_id = r.id
    where r.state = 'succeeded' and array(select generate_series(1, s.attempt)) <>
        array(select attempt from world.effect e where e.run_id = r.id and e.step = s.name order by attempt)
    union all
    select format('run %s: the accepted attempt of %s is not the last', s.run_id, s.name)
    from toygres.step s where s.state = 'done' and (s.output ->> 'attempt')::int <> s.attempt
    union all
    select format('run %s was undone, the effect of %s is there', r.id, e.step)
    from toygres.run r join world.effect e on e.run_id = r.id
    where r.state in ('failed', 'cancelled') and not e.undone
    union all
    select format('run %s succeeded, the effect of %s was undone', r.id, e.step)
    from toygres.run r join world.effect e on e.run_id = r.id where r.state = 'succeeded' and e.undone
    union all
    select format('run %s is %s, its step %s is %s', r.id, r.state, s.name, s.state)
    from toygres.run r join toygres.step s on s.run_id = r.id
    where (r.state = 'succeeded' and s.state <> 'done')
       or (r.state in ('failed', 'cancelled') and s.state not in ('undone', 'skipped'))
    union all
    select format('run %s has ended and holds a lock', run_id) from toygres.run_lock
$$;

create function world.seen() returns table (what text) language sql as $$
    select format('%s claims', count(*)) from world.claim
    union all select format('%s taken over', count(*)) from world.claim where taken_over
    union all select format('%s effects met again', count(*)) from world.effect where times > 1
$$;
