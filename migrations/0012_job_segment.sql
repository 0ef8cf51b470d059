-- The first log segment that may contain events after the last stored one: a collector that takes over continues there.
alter table toygres.job add column segment int not null default 0 check (segment >= 0);
