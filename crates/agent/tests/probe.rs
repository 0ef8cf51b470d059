//! Probes of servers: each cause of a failed connection has its own code.

#[expect(dead_code, reason = "each test file uses its own part")]
mod job_dir;
mod scratch;

use std::path::Path;
use std::process::{Child, Command, Stdio};

use job_dir::{JobDir, probe, to, until};
use model::{Connection, ExitClass, FailureCode, NetworkPolicy, Outcome, TlsMode, Work};
use rustix::process::{Pid, Signal, kill_process};

/// A server on a port of the loopback interface, with TLS.
struct TcpServer {
    server: Child,
    dir: tempfile::TempDir,
    port: u16,
}

impl TcpServer {
    fn start() -> Self {
        let dir = scratch::short_dir();
        let data = dir.path().join("data");
        std::fs::write(dir.path().join("pw"), scratch::PASSWORD).expect("written");
        let created = scratch::unprivileged("initdb")
            .args(["-U", "postgres", "-N", "-A", "scram-sha-256", "-D"])
            .arg(&data)
            .arg(format!("--pwfile={}", dir.path().join("pw").display()))
            .output()
            .expect("initdb");
        assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
        certificate(&data);
        let port =
            std::net::TcpListener::bind("127.0.0.1:0").expect("bound").local_addr().expect("bound").port();
        let server = scratch::unprivileged("postgres")
            .args([
                "-c",
                "listen_addresses=127.0.0.1",
                "-c",
                "unix_socket_directories=",
                "-c",
                "fsync=off",
                "-p",
                &port.to_string(),
            ])
            .args(["-c", "ssl=on", "-c", "log_connections=on", "-D"])
            .arg(&data)
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(dir.path().join("log")).expect("created"))
            .spawn()
            .expect("started");
        let tcp = Self { server, dir, port };
        let ready = || {
            std::fs::read_to_string(tcp.dir.path().join("log"))
                .is_ok_and(|log| log.contains("ready to accept"))
        };
        until("the server is ready", ready);
        tcp
    }
}

impl Drop for TcpServer {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.server), Signal::QUIT);
        let _ = self.server.wait();
    }
}

/// Creates a self-signed certificate, owned by the owner of the data directory.
fn certificate(data: &Path) {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    let (key, crt) = (data.join("server.key"), data.join("server.crt"));
    let created = Command::new("openssl")
        .args([
            "req",
            "-new",
            "-x509",
            "-days",
            "2",
            "-nodes",
            "-newkey",
            "rsa:2048",
            "-subj",
            "/CN=localhost",
        ])
        .args([
            "-addext",
            "subjectAltName=DNS:localhost",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-keyout",
        ])
        .arg(&key)
        .arg("-out")
        .arg(&crt)
        .output();
    assert!(created.is_ok_and(|output| output.status.success()), "openssl is not installed");
    let owner = data.metadata().expect("exists");
    for file in [&key, &crt] {
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).expect("set");
        std::os::unix::fs::chown(file, Some(owner.uid()), Some(owner.gid())).expect("changed");
    }
}

#[test]
fn each_cause_of_a_failed_connection_has_its_own_code() {
    let server = TcpServer::start();
    let local = || to("localhost", server.port);
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("bound").local_addr().expect("bound").port();
    for (target, password, code) in [
        (local(), scratch::PASSWORD, None),
        // A wrong password ends the probe, however long it may wait for DNS.
        (local(), "wrong password", Some(FailureCode::PasswordRejected)),
        (local(), "", Some(FailureCode::PasswordRejected)),
        (
            Connection { database: "nope".into(), ..local() },
            scratch::PASSWORD,
            Some(FailureCode::DatabaseMissing),
        ),
        (to("127.0.0.1", free), scratch::PASSWORD, Some(FailureCode::ConnectionRefused)),
        (to("/nonexistent", 5432), scratch::PASSWORD, Some(FailureCode::ConnectionRefused)),
    ] {
        let job = JobDir::new(probe(target.clone(), 3600), password);
        job.run();
        let result = job.result();
        assert_eq!(result.failure.as_ref().map(|failure| failure.code), code, "{target:?}: {result:?}");
        if code.is_none() {
            let Some(Outcome::Probe { major, superuser, databases, workers, .. }) = result.outcome else {
                panic!("no properties")
            };
            assert!(major >= 13 && superuser && databases == ["postgres"], "{major} {databases:?}");
            assert!(workers.iter().any(|worker| worker == "checkpointer"), "{workers:?}");
        }
    }
}

#[test]
fn password_that_is_a_common_word_is_not_revealed_by_a_redacted_message() {
    let server = TcpServer::start();
    for password in ["user", "postgres", "password"] {
        let job = JobDir::new(probe(to("127.0.0.1", server.port), 0), password);
        job.run();
        let failure = job.failure();
        assert_eq!(failure.code, FailureCode::PasswordRejected);
        assert_eq!(failure.detail, "password authentication failed for user \"postgres\"");
    }
}

#[test]
fn denied_address_is_not_connected_to_and_an_allowed_network_is() {
    let server = TcpServer::start();
    for host in ["127.0.0.1", "localhost", "2130706433", "::ffff:127.0.0.1", "169.254.169.254", "/tmp"] {
        let job = JobDir::new(probe(to(host, server.port), 3600), scratch::PASSWORD)
            .with_network(NetworkPolicy::default());
        assert_eq!(job.run(), ExitClass::Configuration.code());
        assert_eq!(job.failure().code, FailureCode::AddressNotAllowed, "{host}");
    }
    let log = std::fs::read_to_string(server.dir.path().join("log")).expect("read");
    assert!(!log.contains("connection received"), "{log}");
    let job = JobDir::new(probe(to("localhost", server.port), 0), scratch::PASSWORD).with_network(loopback());
    assert_eq!(job.run(), 0, "{:?}", job.result());
    let log = std::fs::read_to_string(server.dir.path().join("log")).expect("read");
    assert!(log.contains("connection received"), "{log}");
}

#[test]
fn backup_connects_to_the_checked_address_and_verifies_the_name() {
    let server = TcpServer::start();
    let run = |host: &str| {
        let store = scratch::short_dir();
        let work = Work::Backup {
            image: model::ImageId::new(),
            to: model::Location {
                store: format!("file://{}", store.path().display()),
                prefix: "images/a/1".into(),
            },
            source: Connection { tls: TlsMode::VerifyFull, ..to(host, server.port) },
            image_type: model::ImageType::Stock,
            databases: Vec::new(),
            streams: 1,
            bin_dir: None,
            fixed_clients: false,
            previous: None,
        };
        let job = JobDir::new(work, scratch::PASSWORD).with_network(loopback());
        let crt = server.dir.path().join("data/server.crt");
        job.command().env("SSL_CERT_FILE", &crt).stdout(Stdio::null()).status().expect("started");
        job.result().failure.map(|failure| failure.code)
    };
    // The certificate is for localhost.
    assert_eq!(run("localhost"), None);
    assert_eq!(run("127.0.0.1"), Some(FailureCode::CertificateInvalid));
}

fn loopback() -> NetworkPolicy {
    let allowed = ["127.0.0.0/8", "::1/128"].map(|network| network.parse().expect("a network"));
    NetworkPolicy { allowed: allowed.to_vec(), own: Vec::new() }
}

#[test]
fn tls_mode_decides_which_certificates_are_accepted() {
    let server = TcpServer::start();
    let run = |tls: TlsMode, authorities: Option<&Path>| {
        let job =
            JobDir::new(probe(Connection { tls, ..to("localhost", server.port) }, 0), scratch::PASSWORD);
        let mut command = job.command();
        if let Some(path) = authorities {
            command.env("SSL_CERT_FILE", path);
        }
        let mut agent = command.stdout(Stdio::null()).spawn().expect("started");
        agent.wait().expect("ended");
        job.result().failure.map(|failure| failure.code)
    };
    assert_eq!(run(TlsMode::Disable, None), None);
    assert_eq!(run(TlsMode::Prefer, None), None);
    assert_eq!(run(TlsMode::Require, None), None);
    assert_eq!(run(TlsMode::VerifyFull, None), Some(FailureCode::CertificateUntrusted));
    let crt = server.dir.path().join("data/server.crt");
    assert_eq!(run(TlsMode::VerifyFull, Some(&crt)), None);
    // The certificate is for localhost.
    let job = JobDir::new(
        probe(Connection { tls: TlsMode::VerifyFull, ..to("127.0.0.1", server.port) }, 0),
        scratch::PASSWORD,
    );
    job.command().env("SSL_CERT_FILE", &crt).stdout(Stdio::null()).status().expect("started");
    assert_eq!(job.failure().code, FailureCode::CertificateInvalid);
}
