//! Reads a server's catalogs: databases, tables whose rows pg_dump would copy, sequences, extensions. It changes nothing.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use model::{Database, Extension, LeftOut, LeftOutReason};
use tokio_postgres::{Client, GenericClient};

use crate::sql::qualified;

/// Properties of a server and of the connected role.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    /// The full version, such as `15.20 (Debian 15.20-0+deb12u1)`.
    pub(crate) version: String,
    pub(crate) major: i32,
    /// Whether the role is a superuser.
    pub(crate) superuser: bool,
    /// Whether the role may read all rows, also in tables with row-level security.
    pub(crate) reads_all: bool,
    /// The role that initdb created.
    pub(crate) bootstrap: String,
    /// The entries of `shared_preload_libraries`.
    pub(crate) preload: Vec<String>,
}

/// The databases of a server.
pub(crate) struct Databases {
    /// Those to which the account may connect.
    pub(crate) open: Vec<Database>,
    /// The others; invalid ones are closed.
    pub(crate) left_out: Vec<LeftOut>,
}

/// A table whose rows are copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableRow {
    pub(crate) oid: u32,
    pub(crate) schema: String,
    pub(crate) name: String,
    /// The names of its columns in order, without generated columns.
    pub(crate) columns: Vec<String>,
    /// The condition of an extension's configuration table: empty or `WHERE …`. None for other tables.
    pub(crate) condition: Option<String>,
    /// The size of the table and its TOAST table in bytes.
    pub(crate) bytes: u64,
    /// The number of blocks of its main fork.
    pub(crate) blocks: u64,
    /// Whether it uses the access method heap, which can be read in ranges of blocks.
    pub(crate) heap: bool,
    /// The partition root (schema, name) into which rows are loaded if a restore may assign them to another partition.
    pub(crate) root: Option<(String, String)>,
}

/// A sequence and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SequenceRow {
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) last_value: i64,
    pub(crate) is_called: bool,
}

/// Reads the properties of a server.
pub(crate) async fn server(client: &Client) -> Result<Server> {
    let row = client
        .query_one(
            "select pg_catalog.current_setting('server_version'), pg_catalog.current_setting('server_version_num')::int4 / 10000, r.rolsuper, \
               r.rolsuper or r.rolbypassrls, pg_catalog.pg_get_userbyid(10)::text, (select setting from pg_catalog.pg_settings where name = 'shared_preload_libraries') \
             from pg_catalog.pg_roles r where r.rolname = current_user",
            &[],
        )
        .await
        .context("cannot read the server's version")?;
    let preload: Option<String> = row.get(5);
    Ok(Server {
        version: row.get(0),
        major: row.get(1),
        superuser: row.get(2),
        reads_all: row.get(3),
        bootstrap: row.get(4),
        preload: split_list(&preload.unwrap_or_default()),
    })
}

fn split_list(text: &str) -> Vec<String> {
    text.split(',')
        .map(|part| part.trim().trim_matches('"').to_owned())
        .filter(|part| !part.is_empty())
        .collect()
}

/// Lists the databases except template0, by name.
pub(crate) async fn databases(client: &Client) -> Result<Databases> {
    let rows = client
        .query(
            "select d.datname::text, pg_catalog.pg_get_userbyid(d.datdba)::text, pg_catalog.pg_encoding_to_char(d.encoding)::text, \
               d.datcollate::text, d.datctype::text, coalesce(j->>'datlocprovider', 'c'), coalesce(j->>'datlocale', j->>'daticulocale'), \
               j->>'daticurules', j->>'datcollversion', d.datallowconn and d.datconnlimit <> -2, \
               pg_catalog.has_database_privilege(d.oid, 'connect'), \
               case when d.datallowconn and pg_catalog.has_database_privilege(d.oid, 'connect') then pg_catalog.pg_database_size(d.oid) else 0 end \
             from pg_catalog.pg_database d, lateral pg_catalog.to_jsonb(d) j where d.datname <> 'template0' order by d.datname",
            &[],
        )
        .await
        .context("cannot list the databases")?;
    let mut databases = Databases { open: Vec::new(), left_out: Vec::new() };
    for row in rows {
        let name: String = row.get(0);
        let reason = match (row.get(9), row.get(10)) {
            (false, _) => Some(LeftOutReason::Closed),
            (true, false) => Some(LeftOutReason::NoPrivilege),
            (true, true) => None,
        };
        if let Some(reason) = reason {
            databases.left_out.push(LeftOut { database: name, reason });
            continue;
        }
        databases.open.push(Database {
            ordinal: 0,
            name,
            owner: row.get(1),
            encoding: row.get(2),
            locale_provider: match row.get::<_, &str>(5) {
                "i" => "icu",
                "b" => "builtin",
                _ => "libc",
            }
            .to_owned(),
            collate: row.get(3),
            ctype: row.get(4),
            locale: row.get(6),
            icu_rules: row.get(7),
            collation_version: row.get(8),
            bytes: row.get(11),
            extensions: Vec::new(),
            tables: Vec::new(),
            sequences: 0,
            large_objects: 0,
            tablespaces: Vec::new(),
        });
    }
    Ok(databases)
}

/// Whether the connected database differs from what initdb creates: it has objects, privileges or settings. template1 is copied
/// only if it does.
pub(crate) async fn is_customised(client: &Client) -> Result<bool> {
    client
        .query_one(
            "select exists (select from pg_catalog.pg_class where oid >= 16384) or exists (select from pg_catalog.pg_proc where oid >= 16384) \
               or exists (select from pg_catalog.pg_type where oid >= 16384) or exists (select from pg_catalog.pg_namespace where oid >= 16384) \
               or exists (select from pg_catalog.pg_extension where oid >= 16384) or exists (select from pg_catalog.pg_default_acl) \
               or exists (select from pg_catalog.pg_largeobject_metadata) \
               or exists (select from pg_catalog.pg_db_role_setting s where s.setdatabase = d.oid) \
               or d.datacl::text[] is distinct from array['=c/' || pg_catalog.quote_ident(o), pg_catalog.quote_ident(o) || '=CTc/' || pg_catalog.quote_ident(o)] \
             from pg_catalog.pg_database d, pg_catalog.pg_get_userbyid(d.datdba) o where d.datname = pg_catalog.current_database()",
            &[],
        )
        .await
        .map(|row| row.get(0))
        .context("cannot read the catalogs of template1")
}

/// Lists the tablespaces that the connected database uses, without PostgreSQL's own.
pub(crate) async fn tablespaces(client: &impl GenericClient) -> Result<Vec<String>> {
    let rows = client
        .query(
            "select t.spcname::text from pg_catalog.pg_tablespace t where t.spcname not in ('pg_default', 'pg_global') \
               and (exists (select from pg_catalog.pg_class c where c.reltablespace = t.oid) \
                 or exists (select from pg_catalog.pg_database d where d.dattablespace = t.oid and d.datname = pg_catalog.current_database())) \
             order by 1",
            &[],
        )
        .await
        .context("cannot list the tablespaces")?;
    Ok(rows.into_iter().map(|row| row.get(0)).collect())
}

/// Lists the installed extensions, by name.
pub(crate) async fn extensions(client: &impl GenericClient) -> Result<Vec<Extension>> {
    let rows = client
        .query("select extname::text, extversion from pg_catalog.pg_extension order by extname", &[])
        .await
        .context("cannot list the extensions")?;
    Ok(rows.into_iter().map(|row| Extension { name: row.get(0), version: row.get(1) }).collect())
}

/// Lists the names of the roles except predefined ones, as the transaction's snapshot has them. Names are bytes: which text they stand
/// for depends on the encoding of the connected database.
pub(crate) async fn roles(client: &impl GenericClient) -> Result<BTreeSet<Vec<u8>>> {
    let rows = client
        .query(
            "select pg_catalog.convert_to(rolname::text, pg_catalog.getdatabaseencoding()) from pg_catalog.pg_roles \
             where rolname !~ '^pg_'",
            &[],
        )
        .await
        .context("cannot list the roles")?;
    Ok(rows.into_iter().map(|row| row.get(0)).collect())
}

/// Counts the large objects.
pub(crate) async fn large_objects(client: &impl GenericClient) -> Result<u64> {
    let row = client
        .query_one("select pg_catalog.count(*) from pg_catalog.pg_largeobject_metadata", &[])
        .await
        .context("cannot count the large objects")?;
    Ok(row.get::<_, i64>(0).cast_unsigned())
}

/// The condition for objects whose content is copied: those of the user, and the configuration tables of extensions.
const OF_USER: &str = "n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and e.oid is null or coalesce(pg_catalog.array_position(e.extconfig, c.oid), 0) > 0";
const WITH_EXTENSION: &str = "pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
     left join pg_catalog.pg_depend x on x.classid = 'pg_catalog.pg_class'::regclass and x.objid = c.oid and x.objsubid = 0 \
       and x.refclassid = 'pg_catalog.pg_extension'::regclass and x.deptype = 'e' \
     left join pg_catalog.pg_extension e on e.oid = x.refobjid";

/// Lists the tables whose rows pg_dump would copy, the largest first.
pub(crate) async fn tables(client: &impl GenericClient) -> Result<Vec<TableRow>> {
    let sql = format!(
        "select c.oid, n.nspname::text, c.relname::text, \
           array(select a.attname::text from pg_catalog.pg_attribute a \
             where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '' order by a.attnum), \
           case when e.oid is not null then coalesce(e.extcondition[pg_catalog.array_position(e.extconfig, c.oid)], '') end, \
           pg_catalog.pg_table_size(c.oid), pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::int8, \
           coalesce(m.amname, 'heap') = 'heap', h.nspname::text, h.relname::text \
         from {WITH_EXTENSION} left join pg_catalog.pg_am m on m.oid = c.relam \
         left join lateral (select rn.nspname, rc.relname from pg_catalog.pg_partition_root(c.oid) root \
           join pg_catalog.pg_class rc on rc.oid = root join pg_catalog.pg_namespace rn on rn.oid = rc.relnamespace \
           where c.relispartition and exists (select from pg_catalog.pg_partition_ancestors(c.oid) up \
             join pg_catalog.pg_partitioned_table p on p.partrelid = up.relid \
             where (select o.oid from pg_catalog.pg_opclass o join pg_catalog.pg_am am on am.oid = o.opcmethod \
               where o.opcname = 'enum_ops' and o.opcnamespace = 'pg_catalog'::regnamespace and am.amname = 'hash') = any (p.partclass))) h on true \
         where c.relkind = 'r' and c.relpersistence in ('p', 'u') and ({OF_USER}) \
         order by pg_catalog.pg_table_size(c.oid) desc, n.nspname, c.relname"
    );
    let rows = client.query(&sql, &[]).await.context("cannot list the tables")?;
    Ok(rows
        .into_iter()
        .map(|row| TableRow {
            oid: row.get(0),
            schema: row.get(1),
            name: row.get(2),
            columns: row.get(3),
            condition: row.get(4),
            // A table that was dropped in the meantime has no size.
            bytes: row.get::<_, Option<i64>>(5).unwrap_or(0).cast_unsigned(),
            blocks: row.get::<_, Option<i64>>(6).unwrap_or(0).cast_unsigned(),
            heap: row.get(7),
            root: row.get::<_, Option<String>>(8).zip(row.get(9)),
        })
        .collect())
}

/// How many sequences one statement reads.
const SEQUENCES_AT_ONCE: usize = 200;

/// Lists the sequences whose value pg_dump would copy, with their values.
pub(crate) async fn sequences(client: &impl GenericClient) -> Result<Vec<SequenceRow>> {
    let sql = format!(
        "select n.nspname::text, c.relname::text from {WITH_EXTENSION} \
         where c.relkind = 'S' and c.relpersistence in ('p', 'u') and ({OF_USER}) order by 1, 2"
    );
    let names: Vec<(String, String)> = client
        .query(&sql, &[])
        .await
        .context("cannot list the sequences")?
        .iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect();
    let mut found = Vec::with_capacity(names.len());
    for some in names.chunks(SEQUENCES_AT_ONCE) {
        let parts: Vec<String> = some
            .iter()
            .enumerate()
            .map(|(i, (schema, name))| {
                format!("select {i}::int8, last_value, is_called from {}", qualified(schema, name))
            })
            .collect();
        let rows =
            client.query(&parts.join(" union all "), &[]).await.context("cannot read the sequences")?;
        let mut values: Vec<(i64, i64, bool)> =
            rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
        values.sort_unstable();
        found.extend(some.iter().zip(values).map(|((schema, name), (_, last_value, is_called))| {
            SequenceRow { schema: schema.clone(), name: name.clone(), last_value, is_called }
        }));
    }
    Ok(found)
}
