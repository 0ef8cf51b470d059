use super::*;

const DUMPED: &str = r#"--
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
"#;

#[test]
fn output_of_pg_dumpall_is_accepted() {
    let globals = read(DUMPED).expect("allowed");
    assert_eq!(globals.len(), 7, "{globals:#?}");
    assert!(
        matches!(&globals[0], Global::CreateRole { role, .. } if role == "odd \"name\" ; drop role reader; --")
    );
    assert!(matches!(&globals[1], Global::AlterRole { sql, .. } if sql.ends_with("z='")));
    assert_eq!(globals[2], Global::Other("COMMENT ON ROLE reader IS 'it''s;\n-- no comment'".into()));
    assert!(matches!(&globals[3], Global::Other(sql) if sql.ends_with("here'")));
    assert!(matches!(&globals[4], Global::RoleSetting(_)));
}

#[test]
fn other_statements_are_refused() {
    for hostile in [
        "\\! touch /tmp/x\n",
        "CREATE ROLE a; \\copy x from program 'id'\n",
        "DROP ROLE a;",
        "CREATE DATABASE x;",
        "ALTER SYSTEM SET x = 1;",
        "GRANT ALL ON SCHEMA public TO a;",
        "GRANT \"ON\" TO a; SELECT 1;",
        "DO 'begin end';",
        "DO $$ begin end $$;",
        "CREATE ROLE a; /* */ SELECT 1;",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON t TO a;",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE \"ON PARAMETER\" TO a;",
        "GRANT ALL ON \"PARAMETER\" TO a;",
        "GRANT SELECT ON PARAMETER work_mem TO a;",
        "GRANT SET ON PARAMETER work_mem, t TO a;",
        "GRANT SET ON PARAMETER work_mem TO a, b;",
        "GRANT SET ON PARAMETER ON TABLE t TO a;",
        "GRANT a TO b, c;",
        "GRANT a, b TO c;",
        "GRANT a TO b WITH HIERARCHY OPTION;",
        "GRANT select on t TO b;",
        "GRANT U&\"\\0061\" TO b;",
        "REVOKE a FROM b;",
        "COMMENT ON ROLE a IS 'x' 'y';",
        "SECURITY LABEL FOR x ON TABLE t IS E'\\' ON ROLE a IS ';",
        "CREATE ROLE a IN ROLE pg_execute_server_program;",
        "CREATE ROLE 'a",
        "CREATE ROLE a",
    ] {
        let refused = read(hostile).expect_err(hostile);
        assert_eq!(refused.code, FailureCode::ImageUnsupported, "{hostile}: {refused}");
    }
}

#[test]
fn grants_of_pg_dumpall_are_accepted() {
    for grant in [
        "GRANT a TO b;",
        "GRANT \"ON\" TO \"ON PARAMETER\" GRANTED BY \"c\"\"TO\";",
        "GRANT a TO b WITH ADMIN OPTION GRANTED BY postgres;",
        "GRANT a TO b WITH ADMIN OPTION, INHERIT FALSE, SET FALSE GRANTED BY postgres;",
        "GRANT pg_read_all_data TO b WITH INHERIT TRUE GRANTED BY postgres;",
        "GRANT SET, ALTER SYSTEM ON PARAMETER work_mem TO b WITH GRANT OPTION;",
        "GRANT ALL ON PARAMETER pg_stat_statements.track TO PUBLIC;",
        "REVOKE GRANT OPTION FOR SET ON PARAMETER work_mem FROM \"B\";",
        "SECURITY LABEL FOR selinux ON ROLE a IS 'x';",
    ] {
        assert!(matches!(read(grant).expect(grant)[..], [Global::Other(_)]), "{grant}");
    }
}

#[test]
fn changed_output_is_accepted_or_refused_without_a_panic() {
    use rand::rngs::StdRng;
    use rand::{RngExt as _, SeedableRng as _};

    const PARTS: [&str; 16] = [
        "'",
        "\"",
        "\\",
        ";",
        "--",
        "/*",
        "$",
        "E'",
        "U&\"",
        "ß",
        "\0",
        "\n",
        " ",
        "ON ",
        "PARAMETER ",
        "TABLESPACE ",
    ];
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..5_000 {
        let mut chars: Vec<String> = DUMPED.chars().map(String::from).collect();
        for _ in 0..random.random_range(1..6) {
            let at = random.random_range(0..chars.len());
            chars[at] = PARTS[random.random_range(0..PARTS.len())].to_owned();
        }
        let text = chars.concat();
        for global in read(&text).unwrap_or_default() {
            let (Global::CreateRole { sql, .. }
            | Global::AlterRole { sql, .. }
            | Global::RoleSetting(sql)
            | Global::Other(sql)) = global;
            let is_expected = ["CREATE", "ALTER", "GRANT", "REVOKE", "COMMENT", "SECURITY"]
                .iter()
                .any(|verb| sql.starts_with(verb));
            assert!(is_expected, "{text}");
        }
    }
}

#[test]
fn statements_about_tablespaces_are_skipped() {
    for statement in [
        "CREATE TABLESPACE fast OWNER postgres LOCATION '/ssd';",
        "ALTER TABLESPACE fast SET (seq_page_cost = 1);",
        "GRANT ALL ON TABLESPACE fast TO app;",
        "COMMENT ON TABLESPACE fast IS 'x';",
    ] {
        assert_eq!(read(statement).expect(statement), [], "{statement}");
    }
    // A role of this name is one.
    assert_eq!(read("GRANT \"TABLESPACE\" TO app;").expect("allowed").len(), 1);
}
