-- How a store is opened: who Toygres is to it, and what its provider needs to know besides. Nothing here is secret.
alter table toygres.store
    add column auth jsonb not null default '{"kind": "environment"}' check (case auth ->> 'kind'
        when 'environment' then true
        when 'azure_identity' then true
        when 'aws_identity' then coalesce(auth ->> 'role_arn', '') <> ''
        when 'secret' then coalesce(auth ->> 'namespace', '') <> '' and coalesce(auth ->> 'name', '') <> ''
        when 'sealed' then true
        else false
    end),
    add column endpoint text check (length(endpoint) between 1 and 1000),
    add column region text check (length(region) between 1 and 100),
    -- PEM, public.
    add column root_certificate text check (length(root_certificate) between 1 and 100000),
    add column transfer text not null default 'object_store' check (transfer in ('object_store', 'azcopy')),
    -- azcopy takes keys in its arguments only, where everybody on the machine reads them.
    add check (transfer = 'object_store' or auth ->> 'kind' in ('environment', 'azure_identity'));

alter table toygres.secret drop constraint secret_kind_check,
    add constraint secret_kind_check check (kind in ('instance-password', 'image-password', 'store-credential'));

-- A job's segments are read with its store's access, not by an address alone.
alter table toygres.job add column store uuid references toygres.store on delete set null;
update toygres.job j set store = s.id from toygres.store s where s.url = j.store_url;
alter table toygres.job drop column store_url;
