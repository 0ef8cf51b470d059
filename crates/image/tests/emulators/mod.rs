//! Azurite, moto and a token endpoint, each started for one test, with certificates and tokens.
#![expect(clippy::unwrap_used, reason = "test fixture")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use image::StoreOptions;

/// Azurite's well-known account; its key is in Azurite's documentation.
pub(crate) const ACCOUNT: &str = "devstoreaccount1";
pub(crate) const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
pub(crate) const ISSUER: &str = "https://issuer.test";
pub(crate) const SUBJECT: &str = "system:serviceaccount:toygres-managed:toygres-job";
const AUDIENCE: &str = "api://AzureADTokenExchange";

/// A program that is killed at the end of the test, with its output.
pub(crate) struct Program {
    child: Child,
    pub(crate) port: u16,
    output: Arc<Mutex<Vec<String>>>,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    /// Starts a program and waits until it prints its port: the last number of the line that contains `mark`.
    fn start(command: &mut Command, mark: &str) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let output: Arc<Mutex<Vec<String>>> = Arc::default();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let readers: [Box<dyn std::io::Read + Send>; 2] = [Box::new(out), Box::new(err)];
        for reader in readers {
            let output = Arc::clone(&output);
            std::thread::spawn(move || {
                for line in BufReader::new(reader).lines().map_while(Result::ok) {
                    output.lock().unwrap().push(line);
                }
            });
        }
        let mut program = Self { child, port: 0, output };
        let began = Instant::now();
        while program.port == 0 {
            let line = program.lines().into_iter().find(|line| line.contains(mark));
            let number = line.and_then(|line| {
                line.rsplit(|c: char| !c.is_ascii_digit()).find(|part| !part.is_empty())?.parse().ok()
            });
            program.port = number.unwrap_or(0);
            assert!(began.elapsed() < Duration::from_secs(60), "{command:?} printed {:?}", program.lines());
            std::thread::sleep(Duration::from_millis(20));
        }
        program
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.output.lock().unwrap().clone()
    }
}

/// A tool that `cargo xtask test` installs: the path in the environment variable, or below `target/tools`.
fn tool(name: &str, below: &str) -> PathBuf {
    let given = std::env::var_os(name).map(PathBuf::from);
    let tool = given.unwrap_or_else(|| root().join("target/tools").join(below));
    assert!(tool.is_file(), "{} does not exist: `cargo xtask test` installs it", tool.display());
    tool
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

fn openssl(args: &[&str], dir: &Path, input: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut command = Command::new("openssl");
    command.args(args).current_dir(dir).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "openssl {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// A certificate authority, a certificate for 127.0.0.1 and localhost, and the keys of a token issuer.
pub(crate) struct TestServers {
    pub(crate) dir: tempfile::TempDir,
}

impl TestServers {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let make = |line: &str| openssl(&line.split(' ').collect::<Vec<_>>(), dir.path(), b"");
        make("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem");
        make(
            "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout tls.key -out tls.pem -CA ca.pem -CAkey ca.key -addext subjectAltName=IP:127.0.0.1,DNS:localhost -addext basicConstraints=critical,CA:FALSE",
        );
        make("genrsa -out issuer.key 2048");
        let modulus = make("rsa -in issuer.key -noout -modulus");
        let modulus = String::from_utf8(modulus).unwrap().trim().split_once('=').unwrap().1.to_owned();
        let n = BASE64URL_NOPAD.encode(&HEXUPPER.decode(modulus.as_bytes()).unwrap());
        let keys =
            serde_json::json!({"keys": [{"kty": "RSA", "kid": "1", "alg": "RS256", "n": n, "e": "AQAB"}]});
        std::fs::write(dir.path().join("jwks.json"), keys.to_string()).unwrap();
        Self { dir }
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    /// The certificate of the authority, in PEM.
    pub(crate) fn root(&self) -> String {
        std::fs::read_to_string(self.path("ca.pem")).unwrap()
    }

    /// Replaces the workload's token atomically, as a kubelet does.
    pub(crate) fn write_token(&self, subject: &str, id: &str, life: i64) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs().cast_signed();
        let head = serde_json::json!({"alg": "RS256", "kid": "1", "typ": "JWT"});
        let body = serde_json::json!({
            "iss": ISSUER, "aud": [AUDIENCE], "sub": subject, "iat": now, "nbf": now, "exp": now + life, "jti": id,
        });
        let text = [head, body].map(|part| BASE64URL_NOPAD.encode(part.to_string().as_bytes())).join(".");
        let signature =
            openssl(&["dgst", "-sha256", "-sign", "issuer.key"], self.dir.path(), text.as_bytes());
        let token = format!("{text}.{}", BASE64URL_NOPAD.encode(&signature));
        std::fs::write(self.path("token.new"), token).unwrap();
        std::fs::rename(self.path("token.new"), self.path("token")).unwrap();
    }

    /// A token endpoint with the interfaces of Entra and STS.
    pub(crate) fn token_endpoint(&self, life: u32) -> Program {
        let mut command = Command::new("node");
        command
            .arg(root().join("end2end/token-endpoint.mjs"))
            .env("ISSUER", ISSUER)
            .env("AUDIENCE", AUDIENCE)
            .env("SUBJECT", SUBJECT)
            .env("JWKS", self.path("jwks.json"))
            .env("CERT", self.path("tls.pem"))
            .env("KEY", self.path("tls.key"))
            .env("LIFE", life.to_string())
            .env("CLIENT_ID", "toygres");
        Program::start(&mut command, "listening on")
    }

    /// Azurite with the container `images`. Over TLS it also accepts tokens.
    pub(crate) async fn azurite(&self, tls: bool) -> Program {
        let mut command = Command::new(tool("TOYGRES_AZURITE", "azurite/node_modules/.bin/azurite-blob"));
        command.args(["--blobPort", "0", "--inMemoryPersistence", "--skipApiVersionCheck"]);
        if tls {
            command.args([
                "--oauth",
                "basic",
                "--cert",
                &self.path("tls.pem"),
                "--key",
                &self.path("tls.key"),
            ]);
        }
        let azurite = Program::start(command.current_dir(self.dir.path()), "successfully listens on");
        let url = format!("{}/{ACCOUNT}/images?restype=container&{}", azurite.url(tls), account_sas());
        let created = self.client().put(url).header("content-length", "0").send().await.unwrap();
        assert!(created.status().is_success(), "{created:?}");
        azurite
    }

    /// moto with the bucket `images`.
    pub(crate) async fn moto(&self) -> Program {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(tool("TOYGRES_MOTO", "moto/bin/moto_server"));
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]).env("PYTHONUNBUFFERED", "1");
        let moto = Program::start(&mut command, "Running on");
        let created = self.client().put(format!("{}/images", moto.url(false))).send().await.unwrap();
        assert!(created.status().is_success(), "{created:?}");
        moto
    }

    pub(crate) fn client(&self) -> reqwest::Client {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let root = reqwest::Certificate::from_pem(self.root().as_bytes()).unwrap();
        reqwest::Client::builder().no_proxy().tls_certs_only([root]).build().unwrap()
    }

    /// Options for a workload identity at Azurite over TLS.
    pub(crate) fn identity(&self, azurite: &Program, tokens: &Program) -> StoreOptions {
        options(&[
            ("endpoint", &azurite.url(true)),
            ("root_certificate", &self.root()),
            ("credential_type", "workload_identity"),
            ("client_id", "toygres"),
            ("tenant_id", "tenant"),
            // The URL that AKS sets ends in a slash.
            ("authority_host", &format!("{}/", tokens.url(true))),
            ("federated_token_file", &self.path("token")),
        ])
    }

    /// Options for a role at moto that is assumed by web identity.
    pub(crate) fn role(&self, moto: &Program, tokens: &Program) -> StoreOptions {
        options(&[
            ("endpoint", &moto.url(false)),
            ("region", "eu-central-1"),
            ("root_certificate", &self.root()),
            ("role_arn", "arn:aws:iam::123456789012:role/toygres"),
            ("endpoint_url_sts", &tokens.url(true)),
            ("web_identity_token_file", &self.path("token")),
        ])
    }
}

impl Program {
    pub(crate) fn url(&self, tls: bool) -> String {
        format!("{}://127.0.0.1:{}", if tls { "https" } else { "http" }, self.port)
    }
}

/// Options with a short time limit for retries.
pub(crate) fn options(pairs: &[(&str, &str)]) -> StoreOptions {
    StoreOptions::from_iter(pairs.iter().copied()).with_retry_limit(Duration::from_secs(5))
}

/// A shared access signature for the container. (Azurite rejects one for the whole account in bulk deletions.)
pub(crate) fn sas(permissions: &str) -> String {
    let text = format!(
        "{permissions}\n\n2099-01-01T00:00:00Z\n/blob/{ACCOUNT}/images\n\n\nhttps,http\n2018-11-09\nc\n\n\n\n\n\n"
    );
    format!(
        "sv=2018-11-09&sr=c&sp={permissions}&se=2099-01-01T00%3A00%3A00Z&spr=https%2Chttp&sig={}",
        signed(&text)
    )
}

/// A shared access signature for the account, to create the container.
fn account_sas() -> String {
    let text = format!("{ACCOUNT}\nrwdlac\nb\nsco\n\n2099-01-01T00:00:00Z\n\nhttps,http\n2019-12-12\n");
    format!(
        "sv=2019-12-12&ss=b&srt=sco&sp=rwdlac&se=2099-01-01T00%3A00%3A00Z&spr=https%2Chttp&sig={}",
        signed(&text)
    )
}

fn signed(text: &str) -> String {
    let key = format!("hexkey:{}", HEXLOWER.encode(&BASE64.decode(KEY.as_bytes()).unwrap()));
    let dir = std::env::temp_dir();
    let mac =
        openssl(&["dgst", "-sha256", "-mac", "HMAC", "-macopt", &key, "-binary"], &dir, text.as_bytes());
    BASE64.encode(&mac).replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")
}
