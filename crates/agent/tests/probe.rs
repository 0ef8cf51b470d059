//! Ways to a server and ways to fail on them, told apart in words and classes.

#[expect(dead_code, reason = "it looks at results only")]
mod job_dir;
mod scratch;

use std::path::Path;
use std::process::{Child, Command, Stdio};

use job_dir::{JobDir, probe, to, until};
use model::{Connection, ExitClass, Outcome, TlsMode};
use rustix::process::{Pid, Signal, kill_process};

/// A server on a port of loopback, with TLS if there is a program that makes certificates.
struct Tcp {
    server: Child,
    dir: tempfile::TempDir,
    port: u16,
    tls: bool,
}

impl Tcp {
    fn start() -> Self {
        let dir = scratch::short_dir();
        let data = dir.path().join("data");
        std::fs::write(dir.path().join("pw"), scratch::PASSWORD).expect("written");
        let made = scratch::unprivileged("initdb")
            .args(["-U", "postgres", "-N", "-A", "scram-sha-256", "-D"])
            .arg(&data)
            .arg(format!("--pwfile={}", dir.path().join("pw").display()))
            .output()
            .expect("initdb");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let tls = certificate(&data);
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
            .args(["-c", if tls { "ssl=on" } else { "ssl=off" }, "-D"])
            .arg(&data)
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(dir.path().join("log")).expect("made"))
            .spawn()
            .expect("started");
        let tcp = Self { server, dir, port, tls };
        let ready = || {
            std::fs::read_to_string(tcp.dir.path().join("log"))
                .is_ok_and(|log| log.contains("ready to accept"))
        };
        until("the server is ready", ready);
        tcp
    }
}

impl Drop for Tcp {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.server), Signal::QUIT);
        let _ = self.server.wait();
    }
}

/// Makes a certificate that no authority signed; it belongs to the owner of the data directory.
fn certificate(data: &Path) -> bool {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    let (key, crt) = (data.join("server.key"), data.join("server.crt"));
    let made = Command::new("openssl")
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
    if !made.is_ok_and(|output| output.status.success()) {
        println!("SKIPPED: there is no openssl here, so TLS was not tried");
        return false;
    }
    let owner = data.metadata().expect("there");
    for file in [&key, &crt] {
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).expect("set");
        std::os::unix::fs::chown(file, Some(owner.uid()), Some(owner.gid())).expect("given");
    }
    true
}

#[test]
fn a_probe_tells_the_ways_to_fail_apart() {
    let server = Tcp::start();
    let local = || to("localhost", server.port);
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("bound").local_addr().expect("bound").port();
    let cases = [
        (local(), scratch::PASSWORD, ExitClass::Ok, ""),
        // However long it may wait for the DNS: a wrong password ends it.
        (local(), "wrong password", ExitClass::Authentication, "password of user"),
        (local(), "", ExitClass::Authentication, "password"),
        (
            Connection { database: "nope".into(), ..local() },
            scratch::PASSWORD,
            ExitClass::Configuration,
            "does not exist",
        ),
        (to("127.0.0.1", free), scratch::PASSWORD, ExitClass::Unreachable, "no server listens"),
        (to("/nonexistent", 5432), scratch::PASSWORD, ExitClass::Unreachable, "no such socket"),
    ];
    for (target, password, class, words) in cases {
        let job = JobDir::new(probe(target.clone(), 3600), password);
        assert_eq!(job.run(), class.code(), "{target:?}: {:?}", job.result());
        let result = job.result();
        assert!(result.error.as_deref().unwrap_or_default().contains(words), "{result:?}");
        if class == ExitClass::Ok {
            let Some(Outcome::Probe { major, superuser, databases, workers, .. }) = result.outcome else {
                panic!("no facts")
            };
            assert!(major >= 13 && superuser && databases == ["postgres"], "{major} {databases:?}");
            assert!(workers.iter().any(|worker| worker == "checkpointer"), "{workers:?}");
        }
    }
}

#[test]
fn tls_is_asked_for_as_the_mode_says() {
    let server = Tcp::start();
    let run = |tls: TlsMode, authorities: Option<&Path>| {
        let job =
            JobDir::new(probe(Connection { tls, ..to("localhost", server.port) }, 0), scratch::PASSWORD);
        let mut command = job.command();
        if let Some(path) = authorities {
            command.env("SSL_CERT_FILE", path);
        }
        let mut agent = command.stdout(Stdio::null()).spawn().expect("started");
        (agent.wait().expect("ended").code(), job.result().error.unwrap_or_default())
    };
    assert_eq!(run(TlsMode::Disable, None).0, Some(0));
    assert_eq!(run(TlsMode::Prefer, None).0, Some(0));
    if !server.tls {
        let (code, words) = run(TlsMode::Require, None);
        assert_eq!(code, Some(10), "{words}");
        return;
    }
    assert_eq!(run(TlsMode::Require, None).0, Some(0));
    let (code, words) = run(TlsMode::VerifyFull, None);
    assert_eq!(code, Some(10), "{words}");
    assert!(words.contains("certificate"), "{words}");
    let crt = server.dir.path().join("data/server.crt");
    let (code, words) = run(TlsMode::VerifyFull, Some(&crt));
    assert_eq!(code, Some(0), "{words}");
}
