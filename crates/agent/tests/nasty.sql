-- A schema with nearly every feature that a logical image could lose. psql executes it on an empty server as the superuser and
-- \connects to several databases. The tests of the agent and of the browser use it.
\set ON_ERROR_STOP on
set client_min_messages = error;

-- Roles: memberships with options, odd names, settings, a password of every kind.
create role reader nologin;
create role "writer role" login password 'pass''word' connection limit 7;
create role "odd ""name"" ; drop role reader; --" login valid until '2031-01-01 00:00:00+00';
create role "Größe" noinherit createdb createrole;
create role bypass login bypassrls password null;
create role replicator replication login;
grant reader to "writer role" with admin option;
grant "writer role" to "odd ""name"" ; drop role reader; --";
grant pg_monitor, reader to "Größe";
alter role "writer role" set search_path = app, "$user", public;
alter role "writer role" set work_mem = '8MB';
alter role bypass set statement_timeout = '50ms';
comment on role reader is E'reads; doesn''t write\nsecond line $$ -- no comment';

-- Databases: odd names, another encoding, another collation provider, settings, privileges, comments.
create database "shop" owner "writer role" template template0 encoding 'UTF8' locale_provider icu icu_locale 'en-US' locale 'C.UTF-8';
create database "odd =db 'q' $(id) \ -x" template template0 encoding 'SQL_ASCII' locale 'C';
create database latin template template0 encoding 'LATIN1' locale 'C' connection limit 11;
create database "postgres://h/x?a=b" template template0 encoding 'UTF8' locale 'C.UTF-8';
comment on database shop is 'the "shop"';
comment on database postgres is 'changed by hand';
alter database shop set timezone = 'Asia/Kathmandu';
alter database shop set datestyle = 'German, DMY';
alter database shop set intervalstyle = 'sql_standard';
alter database shop set statement_timeout = '1h';
alter database latin set default_transaction_read_only = on;
alter role "writer role" in database shop set bytea_output = 'escape';
revoke connect, temporary on database shop from public;
grant connect on database shop to reader;
alter database postgres set random_page_cost = 1.5;

create table in_postgres (a int);
insert into in_postgres values (1), (2);

\connect "shop"
set client_min_messages = error;
set datestyle = iso;
set intervalstyle = postgres;
create schema app authorization "writer role";
create schema "Odd Schema.with'quotes""";
comment on schema app is 'application';
create extension hstore with schema public;
create extension pg_trgm with schema app;
create extension citext;
create extension postgres_fdw;

-- Types.
create type app.mood as enum ('sad', 'so ''so''', 'happy');
alter type app.mood add value 'meh' before 'happy';
create type app.pair as (x int, y text);
create type app.floatrange as range (subtype = float8, subtype_diff = float8mi);
create domain app.positive as int check (value > 0) not null default 1;
create domain app.email as citext check (value ~ '@');
create collation app.german (provider = icu, locale = 'de-u-co-phonebk', deterministic = false);

-- Values of every type.
create table app.kinds (
  id bigint generated always as identity (start 1000 increment 7) primary key,
  s serial,
  t text collate app.german, c char(5), v varchar(10), n numeric, f4 real, f8 double precision, b bytea, j json, jb jsonb,
  ts timestamp, tz timestamptz, d date, i interval, u uuid, ip inet, m money, a int[], aa text[][], r int4range, mr nummultirange,
  mo app.mood, pa app.pair, po app.positive, em app.email, h hstore, x xml, bits bit varying, pt point, tsv tsvector,
  doubled numeric generated always as (n * 2) stored, fr app.floatrange
);
insert into app.kinds (t, c, v, n, f4, f8, b, j, jb, ts, tz, d, i, u, ip, m, a, aa, r, mr, mo, pa, po, em, h, x, bits, pt, tsv, fr) values
 (E'tab\there\nnewline\\backslash\rcr żółć 🐘', 'ab', 'v', 1.10, 0.1, 0.1, '\x00ff5c0a', '{"a" : 1}', '{"b":null}', '2020-02-29 12:34:56.789012', '1999-12-31 23:59:59.999999+05:45',
  '4713-01-01 BC', '-1 year -2 mons +3 days -04:05:06.7', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '10.0.0.1/8', '-1234.56', '{1,NULL,3}', '{{"a","b"},{"c,d",NULL}}', '[1,10)', '{[1,2),(3,4]}',
  'so ''so''', '(1,"a,b")', 5, 'A@b.c', '"k"=>"v, w", "n"=>NULL', '<a>&amp;</a>', B'10101', '(1.5,-2)', to_tsvector('simple', 'a b c'), '[1.5,2.5)'),
 ('\N', '', '', 'NaN', 'Infinity', '-Infinity', '', 'null', '[]', 'infinity', '-infinity', 'infinity', '178000000 years', null, '::1', 0, '{}', '{}', 'empty', '{}',
  'meh', null, 2, null, '', null, null, null, null, null),
 ('\.', null, null, 1e-200, 1.17549435e-38, 2.2250738585072014e-308, repeat('x', 100)::bytea, null, null, null, '2020-06-15 12:00:00+00', null, '00:00:00.000001', null, null, null, null, null, null, null,
  null, null, 3, null, null, null, null, null, null, null);
insert into app.kinds (po) select 1 from generate_series(1, 500);
delete from app.kinds where id % 3 = 0;
create index on app.kinds using gin (t app.gin_trgm_ops);
create index kinds_expr on app.kinds ((lower(v))) where n is not null;
alter table app.kinds alter column t set statistics 500, alter column b set storage external;
create statistics app.kinds_stats (dependencies, ndistinct) on n, po from app.kinds;
comment on column app.kinds.t is 'text; with "quotes"';
comment on index app.kinds_expr is 'expression';

create table app.no_columns ();
insert into app.no_columns select from generate_series(1, 17);
create table app.only_generated (g int generated always as (42) stored);
insert into app.only_generated select from generate_series(1, 5);
create table app.dropped (a int, removed text, b int);
insert into app.dropped select i, 'x', i from generate_series(1, 20) i;
alter table app.dropped drop column removed;
alter table app.dropped add column late text default 'later';
create unlogged table app.unlogged_rows (a int);
insert into app.unlogged_rows select generate_series(1, 30);
create table app.empty_table (a int primary key, b text);
create table "Odd Schema.with'quotes""" . "Odd table $$ \ "" 名前" ("col ""1""" int, "select" text, "-x" text);
insert into "Odd Schema.with'quotes""" . "Odd table $$ \ "" 名前" values (1, 'a', '$(id)'), (2, E'\x01\x7f', null);
create table app.wide_row (id int primary key, payload text, bin bytea);
alter table app.wide_row alter column payload set storage external;
insert into app.wide_row select 1, repeat('0123456789abcde' || chr(10), 300000), decode(repeat('00ff', 1000000), 'hex');
insert into app.wide_row select i, 'small', null from generate_series(2, 10) i;
create table app.typed of app.pair;
insert into app.typed values (1, 'one');
create table app.strange_default (a int default 1, b timestamptz default now(), c text default current_user);
insert into app.strange_default default values;

-- Large enough to be copied in ranges of blocks, with holes.
create table app.large (id int primary key, filler text, grp int);
insert into app.large select i, md5(i::text) || repeat('-', 60), i % 97 from generate_series(1, 150000) i;
delete from app.large where id between 40000 and 90000 or grp = 13;
create index on app.large (grp);

-- Inheritance and partitions.
create table app.parent (id int, who text);
create table app.child (extra text) inherits (app.parent);
insert into app.parent select i, 'parent' from generate_series(1, 11) i;
insert into app.child select i, 'child', 'x' from generate_series(1, 13) i;
create table app.measures (at date not null, v int, kind text) partition by range (at);
create table app.measures_2020 partition of app.measures for values from ('2020-01-01') to ('2021-01-01');
create table app.measures_2021 partition of app.measures for values from ('2021-01-01') to ('2022-01-01') partition by list (kind);
create table app.measures_2021_a partition of app.measures_2021 for values in ('a');
create table app.measures_2021_rest partition of app.measures_2021 default;
create index on app.measures (v);
insert into app.measures select date '2020-01-01' + i, i, chr(97 + i % 3) from generate_series(0, 700) i;
create table app.by_mood (m app.mood, v int) partition by hash (m);
create table app.by_mood_0 partition of app.by_mood for values with (modulus 3, remainder 0);
create table app.by_mood_1 partition of app.by_mood for values with (modulus 3, remainder 1);
create table app.by_mood_2 partition of app.by_mood for values with (modulus 3, remainder 2);
insert into app.by_mood select (enum_range(null::app.mood))[1 + i % 4], i from generate_series(1, 100) i;

-- Foreign keys: circular, to the same table, deferred, not valid; exclusion and check constraints.
create table app.a (id int primary key, b_id int);
create table app.b (id int primary key, a_id int references app.a deferrable initially deferred);
alter table app.a add foreign key (b_id) references app.b (id);
create table app.tree (id int primary key, up int references app.tree on delete cascade);
insert into app.a select i, null from generate_series(1, 10) i;
insert into app.b select i, i from generate_series(1, 10) i;
update app.a set b_id = id;
insert into app.tree select i, nullif(i / 2, 0) from generate_series(1, 100) i order by i;
create table app.late_check (v int, r int4range, exclude using gist (r with &&));
insert into app.late_check values (-1, '[1,2)'), (2, '[2,3)');
alter table app.late_check add constraint not_yet check (v > 0) not valid;

-- Functions, triggers (one disabled, one always), rules, views, event triggers.
create function app.touch() returns trigger language plpgsql as $body$ begin new.filler := coalesce(new.filler, 'made;by$$trigger'); return new; end $body$;
create function app.norm(t text) returns text language sql immutable as $$ select lower(t) || ';--' $$;
create function app.atomic(a int) returns int language sql begin atomic select a + 1; end;
create procedure app.nothing() language plpgsql as $$ begin null; end $$;
create aggregate app.total (int) (sfunc = int4pl, stype = int, initcond = '0');
create operator app.=== (function = texteq, leftarg = text, rightarg = text);
create cast (app.pair as text) with inout as assignment;
create trigger touch before insert or update on app.large for each row execute function app.touch();
create trigger refuse before insert on app.large for each row execute function app.touch();
alter table app.large disable trigger refuse;
create trigger always_on after update on app.a for each row execute function app.touch();
alter table app.a enable always trigger always_on;
create rule no_delete as on delete to app.empty_table do instead nothing;
create view app.v as select id, who from app.parent with local check option;
create view app.secured with (security_barrier) as select * from app.v;
create recursive view app.numbers (n) as values (1) union all select n + 1 from numbers where n < 5;
create materialized view app.mv as select grp, count(*) as n from app.large group by grp;
create unique index on app.mv (grp);
create materialized view app.mv_empty as select 1 as one with no data;
create materialized view app.mv_on_mv as select sum(n) as s from app.mv;
create function app.on_ddl() returns event_trigger language plpgsql as $$ begin null; end $$;
create function app.refuse_ddl() returns event_trigger language plpgsql as $$ begin raise exception 'no tables here'; end $$;
create event trigger watch on ddl_command_end when tag in ('CREATE TABLE') execute function app.on_ddl();
create event trigger refuse_tables on ddl_command_start when tag in ('CREATE TABLE') execute function app.refuse_ddl();
alter event trigger refuse_tables disable;

-- Row-level security, forced for the owner.
create table app.guarded (id int, owner_name text);
alter table app.guarded owner to "writer role";
insert into app.guarded select i, case when i % 2 = 0 then 'a' else 'b' end from generate_series(1, 40) i;
alter table app.guarded enable row level security;
alter table app.guarded force row level security;
create policy only_a on app.guarded as restrictive for select to reader using (owner_name = 'a');
create policy writes on app.guarded for insert to "writer role" with check (id > 0);

-- Sequences: used, unused, descending, cycling, exhausted.
create sequence app.unused start 77;
create sequence app.used increment 5 cache 10;
select nextval('app.used'), nextval('app.used') \g /dev/null
create sequence app.down increment -1 maxvalue -1 start -5 cycle;
select nextval('app.down') \g /dev/null
create sequence app.small as smallint maxvalue 2;
select nextval('app.small'), nextval('app.small') \g /dev/null
create sequence app.set_only;
select setval('app.set_only', 12345, false) \g /dev/null

-- Large objects with owner, privileges and comment.
select lo_from_bytea(424242, decode(repeat('cafe', 100000), 'hex')) \g /dev/null
select lo_from_bytea(424243, '') \g /dev/null
select lo_create(424244) \g /dev/null
select lo_put(424244, 10000, 'sparse') \g /dev/null
alter large object 424242 owner to "writer role";
grant select on large object 424243 to reader;
comment on large object 424242 is 'a large one';

-- Foreign data, publications, text search, privileges.
create server far foreign data wrapper postgres_fdw options (host '127.0.0.1', port '1', dbname 'no''where');
create user mapping for "writer role" server far options (user 'u', password 'p''w');
create user mapping for public server far;
create foreign table app.remote_table (id int options (column_name 'ID'), t text) server far options (schema_name 's', table_name 't');
create publication pub_some for table app.large (id, grp) where (grp > 5), app.a;
create publication pub_all for all tables with (publish = 'insert, update');
create publication pub_schema for tables in schema app;
create text search configuration app.simple_cfg (copy = simple);
create text search dictionary app.dict (template = simple, stopwords = english);
alter text search configuration app.simple_cfg alter mapping for word with app.dict;
grant usage on schema app to reader;
grant select (id, t), update (v) on app.kinds to reader;
grant all on app.large to "odd ""name"" ; drop role reader; --" with grant option;
grant usage on sequence app.used to reader;
grant execute on function app.norm(text) to reader;
revoke execute on function app.norm(text) from public;
grant usage on type app.mood to reader;
revoke all on schema public from public;
alter default privileges for role "writer role" in schema app grant select on tables to reader;
alter default privileges revoke execute on functions from public;
alter table app.a replica identity full;
cluster app.large using large_pkey;
alter table app.tree cluster on tree_pkey;

-- Many small tables.
do $$ begin
  for i in 1..400 loop
    execute format('create table public.small_%s (id int primary key, t text)', i);
    execute format('insert into public.small_%s select j, ''row '' || j from generate_series(1, %s) j', i, i % 7);
  end loop;
end $$;

\connect -reuse-previous=on 'dbname=\'odd =db \\\'q\\\' $(id) \\\\ -x\''
set client_encoding = 'SQL_ASCII';
create table bytes_of_any_kind (t text);
insert into bytes_of_any_kind values (E'\xff\xfe not utf-8'), ('plain');
create sequence "seq; --" start 3;

\connect latin
set default_transaction_read_only = off;
set client_encoding = 'UTF8';
create table "tête" (é text);
insert into "tête" values ('ÿ£ñ'), ('e');
create table with_identity (id int generated by default as identity, v text);
insert into with_identity (v) select 'v' from generate_series(1, 50);

\connect -reuse-previous=on 'dbname=\'postgres://h/x?a=b\''
create schema s;
create table s.t (a int primary key);
insert into s.t values (1);
