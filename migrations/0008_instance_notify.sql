-- Pages show how instances are also when no run changes them: the nil id says that anything may have changed.
create function toygres.notify_instance() returns trigger language plpgsql as $$
begin
    perform pg_notify('toygres_run', '00000000-0000-0000-0000-000000000000');
    return null;
end
$$;

create trigger instance_notify after insert or delete on toygres.instance
    for each row execute function toygres.notify_instance();
-- A look that found nothing new changes nothing that anybody shows.
create trigger instance_change_notify after update of status, health, health_detail on toygres.instance
    for each row
    when ((old.status, old.health, old.health_detail) is distinct from (new.status, new.health, new.health_detail))
    execute function toygres.notify_instance();
