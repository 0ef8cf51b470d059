-- Executed once, on an empty volume, as the superuser postgres: creates the role of the servers and its database. The role has
-- no right outside of its database. The superuser has no password, and pg_hba.conf does not admit it over the network.
\set password `cat /secrets/CMS_PASSWORD`
-- A statement that fails is not logged, because it contains the password.
set log_min_error_statement = panic;
create role toygres login password :'password';
create database toygres owner toygres;
alter role postgres password null;
