-- What the collector must remember of a job, so that whoever follows it next goes on in its sense.

alter table toygres.job
    -- Another attempt would end the same way.
    add column fatal boolean not null default false,
    -- The lines without a number that are kept, by a digest of their words, and how often each: platforms say them anew.
    add column said jsonb not null default '{}' check (jsonb_typeof(said) = 'object');
