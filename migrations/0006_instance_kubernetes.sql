-- What is known of an instance besides: its background workers, its volume, and where its password is if not here.
alter table toygres.instance
    add column workers text[] not null default '{}',
    add column volume_bytes bigint check (volume_bytes > 0),
    -- `namespace/name/key` of a Secret of the cluster: the reference, never the value.
    add column secret_ref text check (secret_ref ~ '^[^/]+/[^/]+/[^/]+$'),
    add check (secret_ref is null or origin = 'external');

-- A view's star is what the table had when the view was made.
drop view toygres.instance_seen;
create view toygres.instance_seen as
select i.*,
    (select max(m.created_at) from toygres.image m where m.instance = i.id and m.status = 'available') as last_image_at,
    (select max(m.proven_at) from toygres.image m where m.instance = i.id) as last_proven_at
from toygres.instance i;
