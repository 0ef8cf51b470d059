--
-- PostgreSQL database cluster dump
--

\restrict lN0MsHJQv5rFs0WmTajWazhTML5

SET default_transaction_read_only = off;
SET client_encoding = 'UTF8';

CREATE ROLE "odd ""name"" ; drop role reader; --";
ALTER ROLE "odd ""name"" ; drop role reader; --" WITH NOSUPERUSER LOGIN PASSWORD 'SCRAM-SHA-256$4096:x==$y=:z=';
COMMENT ON ROLE reader IS 'it''s;
-- no comment';
COMMENT ON ROLE reader IS E'back\\slash \' ; here';
ALTER ROLE w SET search_path TO 'app', '$user';
GRANT reader TO "Größe" WITH ADMIN OPTION GRANTED BY postgres;
GRANT SET ON PARAMETER work_mem TO reader;
\unrestrict lN0MsHJQv5rFs0WmTajWazhTML5
