-- What the seal of an unused image says. Null if there is no manifest, or if it could not be read.
alter table toygres.unused_prefix
    add column seal text check (seal in ('original', 'missing', 'mismatch', 'other_key'));
