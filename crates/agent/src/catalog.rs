//! Reads what a server holds from its catalogs: databases, tables whose rows pg_dump would copy, sequences, extensions.
//! It changes nothing and knows no image.

use anyhow::{Context as _, Result};
use model::{Database, Extension};
use tokio_postgres::{Client, GenericClient};

/// Settings under which text written by one server is read by another without loss; the same as pg_dump's, and
/// `lc_monetary`, by which even values of type money stay what they are. A server that waits for a lock looks now and then
/// whether we are still there, where it can: whoever was cancelled leaves nobody in the queue.
pub(crate) const PORTABLE_SETTINGS: &str = "set search_path = ''; set datestyle = 'ISO'; set intervalstyle = 'postgres'; \
     set extra_float_digits = 3; set lc_monetary = 'C'; set xmloption = 'content'; set row_security = off; set statement_timeout = 0; \
     set lock_timeout = 0; set idle_in_transaction_session_timeout = 0; set synchronize_seqscans = off; set standard_conforming_strings = on; \
     set client_min_messages = warning; set check_function_bodies = off; set quote_all_identifiers = off; set bytea_output = 'hex'; \
     select pg_catalog.set_config(name, '0', false) from pg_catalog.pg_settings where name in ('transaction_timeout', 'idle_session_timeout'); \
     select pg_catalog.set_config(name, '5s', false) from pg_catalog.pg_settings where name = 'client_connection_check_interval' \
     and pg_catalog.version() ~* 'linux|darwin|bsd'";

/// What a server says about itself.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) version: String,
    pub(crate) major: i32,
    pub(crate) superuser: bool,
    /// Whether the user may read all rows, those under row security too.
    pub(crate) reads_all: bool,
    /// The role that initdb made.
    pub(crate) bootstrap: String,
    pub(crate) preload: Vec<String>,
    pub(crate) tablespaces: Vec<String>,
}

/// A database that can be copied, and one that cannot.
pub(crate) struct Databases {
    pub(crate) open: Vec<Database>,
    /// Names of those that allow no connections or are broken.
    pub(crate) closed: Vec<String>,
}

/// A table whose rows are copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableRow {
    pub(crate) oid: u32,
    pub(crate) schema: String,
    pub(crate) name: String,
    /// Its columns in order, without generated ones.
    pub(crate) columns: Vec<String>,
    /// Which of an extension's rows are the user's: empty or `WHERE …`; none for other tables.
    pub(crate) condition: Option<String>,
    /// Bytes of its main fork and its TOAST table.
    pub(crate) bytes: u64,
    /// Blocks of its main fork.
    pub(crate) blocks: u64,
    /// Whether it is an ordinary heap, which can be read by ranges of blocks.
    pub(crate) heap: bool,
    /// Where rows must be put instead when they might belong to another partition now: the root's schema and name.
    pub(crate) root: Option<(String, String)>,
}

/// A sequence and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SequenceRow {
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) last_value: i64,
    pub(crate) is_called: bool,
}

/// A name as SQL writes it.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A schema's object as SQL writes it.
pub(crate) fn qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", quoted(schema), quoted(name))
}

/// A text as SQL writes it.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Asks a server what it is.
pub(crate) async fn server(client: &Client) -> Result<Server> {
    let row = client
        .query_one(
            "select current_setting('server_version'), current_setting('server_version_num')::int4 / 10000, r.rolsuper, \
               r.rolsuper or r.rolbypassrls, pg_catalog.pg_get_userbyid(10)::text, (select setting from pg_catalog.pg_settings where name = 'shared_preload_libraries'), \
               array(select spcname::text from pg_catalog.pg_tablespace where spcname not in ('pg_default', 'pg_global') order by 1) \
             from pg_catalog.pg_roles r where r.rolname = current_user",
            &[],
        )
        .await
        .context("cannot ask the server for its version")?;
    let preload: Option<String> = row.get(5);
    Ok(Server {
        version: row.get(0),
        major: row.get(1),
        superuser: row.get(2),
        reads_all: row.get(3),
        bootstrap: row.get(4),
        preload: split_list(&preload.unwrap_or_default()),
        tablespaces: row.get(6),
    })
}

fn split_list(text: &str) -> Vec<String> {
    text.split(',')
        .map(|part| part.trim().trim_matches('"').to_owned())
        .filter(|part| !part.is_empty())
        .collect()
}

/// Lists the databases, template0 never among them, template1 only where somebody changed it.
pub(crate) async fn databases(client: &Client) -> Result<Databases> {
    let rows = client
        .query(
            "select d.datname::text, pg_catalog.pg_get_userbyid(d.datdba)::text, pg_catalog.pg_encoding_to_char(d.encoding)::text, \
               d.datcollate::text, d.datctype::text, coalesce(j->>'datlocprovider', 'c'), coalesce(j->>'datlocale', j->>'daticulocale'), \
               j->>'daticurules', j->>'datcollversion', d.datallowconn and d.datconnlimit <> -2, \
               case when d.datallowconn and pg_catalog.has_database_privilege(d.oid, 'connect') then pg_catalog.pg_database_size(d.oid) else 0 end \
             from pg_catalog.pg_database d, lateral to_jsonb(d) j where d.datname <> 'template0' order by d.datname",
            &[],
        )
        .await
        .context("cannot list the databases")?;
    let mut databases = Databases { open: Vec::new(), closed: Vec::new() };
    for row in rows {
        let name: String = row.get(0);
        if !row.get::<_, bool>(9) {
            databases.closed.push(name);
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
            bytes: row.get(10),
            extensions: Vec::new(),
            tables: Vec::new(),
            sequences: 0,
            large_objects: 0,
        });
    }
    Ok(databases)
}

/// Whether anybody put something of their own into the connected database, or changed its access or settings. Asked of
/// template1, which is copied only then.
pub(crate) async fn is_customised(client: &Client) -> Result<bool> {
    client
        .query_one(
            "select exists (select from pg_catalog.pg_class where oid >= 16384) or exists (select from pg_catalog.pg_proc where oid >= 16384) \
               or exists (select from pg_catalog.pg_type where oid >= 16384) or exists (select from pg_catalog.pg_namespace where oid >= 16384) \
               or exists (select from pg_catalog.pg_extension where oid >= 16384) or exists (select from pg_catalog.pg_default_acl) \
               or exists (select from pg_catalog.pg_largeobject_metadata) \
               or exists (select from pg_catalog.pg_db_role_setting s where s.setdatabase = d.oid) \
               or d.datacl::text[] is distinct from array['=c/' || quote_ident(o), quote_ident(o) || '=CTc/' || quote_ident(o)] \
             from pg_catalog.pg_database d, pg_catalog.pg_get_userbyid(d.datdba) o where d.datname = current_database()",
            &[],
        )
        .await
        .map(|row| row.get(0))
        .context("cannot look into template1")
}

/// Installed extensions, by name.
pub(crate) async fn extensions(client: &impl GenericClient) -> Result<Vec<Extension>> {
    let rows = client
        .query("select extname::text, extversion from pg_catalog.pg_extension order by extname", &[])
        .await
        .context("cannot list the extensions")?;
    Ok(rows.into_iter().map(|row| Extension { name: row.get(0), version: row.get(1) }).collect())
}

/// How many large objects there are.
pub(crate) async fn large_objects(client: &impl GenericClient) -> Result<u64> {
    let row = client
        .query_one("select count(*) from pg_catalog.pg_largeobject_metadata", &[])
        .await
        .context("cannot count large objects")?;
    Ok(row.get::<_, i64>(0).cast_unsigned())
}

/// An object is the user's own, or an extension's whose rows the extension says are the user's.
const OF_USER: &str = "n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and e.oid is null or coalesce(array_position(e.extconfig, c.oid), 0) > 0";
const WITH_EXTENSION: &str = "pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
     left join pg_catalog.pg_depend x on x.classid = 'pg_catalog.pg_class'::regclass and x.objid = c.oid and x.objsubid = 0 \
       and x.refclassid = 'pg_catalog.pg_extension'::regclass and x.deptype = 'e' \
     left join pg_catalog.pg_extension e on e.oid = x.refobjid";

/// Every table whose rows pg_dump would copy, the largest first.
pub(crate) async fn tables(client: &impl GenericClient) -> Result<Vec<TableRow>> {
    let sql = format!(
        "select c.oid, n.nspname::text, c.relname::text, \
           array(select a.attname::text from pg_catalog.pg_attribute a \
             where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '' order by a.attnum), \
           case when e.oid is not null then coalesce(e.extcondition[array_position(e.extconfig, c.oid)], '') end, \
           pg_catalog.pg_table_size(c.oid), pg_catalog.pg_relation_size(c.oid) / current_setting('block_size')::int8, \
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
            // A table that was dropped since has no size.
            bytes: row.get::<_, Option<i64>>(5).unwrap_or(0).cast_unsigned(),
            blocks: row.get::<_, Option<i64>>(6).unwrap_or(0).cast_unsigned(),
            heap: row.get(7),
            root: row.get::<_, Option<String>>(8).zip(row.get(9)),
        })
        .collect())
}

/// How many sequences one statement asks at once.
const SEQUENCES_AT_ONCE: usize = 200;

/// Every sequence whose value pg_dump would copy, with that value.
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
