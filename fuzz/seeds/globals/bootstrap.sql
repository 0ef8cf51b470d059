--
-- PostgreSQL database cluster dump
--

\restrict lN0MsHJQv5rFs0WmTajWazhTML5

SET default_transaction_read_only = off;

SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;

--
-- Roles
--

CREATE ROLE postgres;
ALTER ROLE postgres WITH SUPERUSER INHERIT CREATEROLE CREATEDB LOGIN REPLICATION BYPASSRLS PASSWORD 'SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy';

--
-- User Configurations
--








\unrestrict lN0MsHJQv5rFs0WmTajWazhTML5

--
-- PostgreSQL database cluster dump complete
--

