-- Starting and stopping a server are runs: it takes as long as clients and the platform need.
alter table toygres.instance
    drop constraint instance_status_check,
    add constraint instance_status_check
        check (status in ('creating', 'running', 'stopping', 'stopped', 'starting', 'failed', 'deleting'));
