-- A partial image does not protect the databases that it lacks: it is neither the last image of its instance nor its last proven one.
create or replace view toygres.instance_seen as
select i.*,
    (select max(m.created_at) from toygres.image m
     where m.instance = i.id and m.status = 'available'
       and (m.source_databases is null or m.databases >= m.source_databases)) as last_image_at,
    (select max(m.proven_at) from toygres.image m
     where m.instance = i.id and (m.source_databases is null or m.databases >= m.source_databases)) as last_proven_at
from toygres.instance i;
