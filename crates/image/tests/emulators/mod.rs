//! Azurite, moto, an issuer of tokens and who exchanges them: started for one test, ended with it. It knows no test.
#![expect(clippy::unwrap_used, reason = "a test's scaffold fails loudly")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use image::StoreOptions;

/// Azurite's well-known account; its key is in Azurite's documentation.
pub(crate) const ACCOUNT: &str = "devstoreaccount1";
pub(crate) const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
pub(crate) const ISSUER: &str = "https://issuer.test";
pub(crate) const SUBJECT: &str = "system:serviceaccount:toygres-managed:toygres-job";
const AUDIENCE: &str = "api://AzureADTokenExchange";

/// A program that ends with the test, and the lines that it has said.
pub(crate) struct Program {
    child: Child,
    pub(crate) port: u16,
    said: Arc<Mutex<Vec<String>>>,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    /// Starts it and waits until it says at which port it listens: the last number of the line that has `mark`.
    fn start(command: &mut Command, mark: &str) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let said: Arc<Mutex<Vec<String>>> = Arc::default();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let readers: [Box<dyn std::io::Read + Send>; 2] = [Box::new(out), Box::new(err)];
        for reader in readers {
            let said = Arc::clone(&said);
            std::thread::spawn(move || {
                for line in BufReader::new(reader).lines().map_while(Result::ok) {
                    said.lock().unwrap().push(line);
                }
            });
        }
        let mut program = Self { child, port: 0, said };
        let began = Instant::now();
        while program.port == 0 {
            let line = program.said().into_iter().find(|line| line.contains(mark));
            let number = line.and_then(|line| {
                line.rsplit(|c: char| !c.is_ascii_digit()).find(|part| !part.is_empty())?.parse().ok()
            });
            program.port = number.unwrap_or(0);
            assert!(began.elapsed() < Duration::from_secs(60), "{command:?} said {:?}", program.said());
            std::thread::sleep(Duration::from_millis(20));
        }
        program
    }

    pub(crate) fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }
}

/// A tool that `cargo xtask test` installs: where the environment says, or below `target/tools`.
fn tool(name: &str, below: &str) -> PathBuf {
    let given = std::env::var_os(name).map(PathBuf::from);
    let tool = given.unwrap_or_else(|| root().join("target/tools").join(below));
    assert!(tool.is_file(), "{} is not there: `cargo xtask test` installs it", tool.display());
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

/// An authority and a certificate of its making for 127.0.0.1, and an issuer's keys.
pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
}

impl World {
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
        let n = URL_SAFE_NO_PAD.encode(hex::decode(modulus).unwrap());
        let keys =
            serde_json::json!({"keys": [{"kty": "RSA", "kid": "1", "alg": "RS256", "n": n, "e": "AQAB"}]});
        std::fs::write(dir.path().join("jwks.json"), keys.to_string()).unwrap();
        Self { dir }
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    /// The authority's certificate.
    pub(crate) fn root(&self) -> String {
        std::fs::read_to_string(self.path("ca.pem")).unwrap()
    }

    /// Writes a workload's token, as a kubelet does: whole, over the one before.
    pub(crate) fn write_token(&self, subject: &str, id: &str, life: i64) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs().cast_signed();
        let head = serde_json::json!({"alg": "RS256", "kid": "1", "typ": "JWT"});
        let body = serde_json::json!({
            "iss": ISSUER, "aud": [AUDIENCE], "sub": subject, "iat": now, "nbf": now, "exp": now + life, "jti": id,
        });
        let text = [head, body].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
        let signature =
            openssl(&["dgst", "-sha256", "-sign", "issuer.key"], self.dir.path(), text.as_bytes());
        let token = format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature));
        std::fs::write(self.path("token.new"), token).unwrap();
        std::fs::rename(self.path("token.new"), self.path("token")).unwrap();
    }

    /// Who exchanges tokens: Entra and STS in one.
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

    /// Azurite with the container `images`; over TLS it takes tokens too.
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
        let made = self.client().put(url).header("content-length", "0").send().await.unwrap();
        assert!(made.status().is_success(), "{made:?}");
        azurite
    }

    /// moto with the bucket `images`.
    pub(crate) async fn moto(&self) -> Program {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(tool("TOYGRES_MOTO", "moto/bin/moto_server"));
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]).env("PYTHONUNBUFFERED", "1");
        let moto = Program::start(&mut command, "Running on");
        let made = self.client().put(format!("{}/images", moto.url(false))).send().await.unwrap();
        assert!(made.status().is_success(), "{made:?}");
        moto
    }

    pub(crate) fn client(&self) -> reqwest::Client {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let root = reqwest::Certificate::from_pem(self.root().as_bytes()).unwrap();
        reqwest::Client::builder().no_proxy().tls_certs_only([root]).build().unwrap()
    }

    /// A workload identity at Azurite over TLS.
    pub(crate) fn identity(&self, azurite: &Program, tokens: &Program) -> StoreOptions {
        options(&[
            ("endpoint", &azurite.url(true)),
            ("root_certificate", &self.root()),
            ("credential_type", "workload_identity"),
            ("client_id", "toygres"),
            ("tenant_id", "tenant"),
            // AKS' has a slash at its end.
            ("authority_host", &format!("{}/", tokens.url(true))),
            ("federated_token_file", &self.path("token")),
        ])
    }

    /// A role at moto, assumed by web identity.
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

/// Options with the patience of a test.
pub(crate) fn options(pairs: &[(&str, &str)]) -> StoreOptions {
    StoreOptions::from_iter(pairs.iter().copied()).with_patience(Duration::from_secs(5))
}

/// A signature for the container, as the portal makes them. (Azurite takes one for a whole account for everything but
/// deleting many objects at once.)
pub(crate) fn sas(permissions: &str) -> String {
    let text = format!(
        "{permissions}\n\n2099-01-01T00:00:00Z\n/blob/{ACCOUNT}/images\n\n\nhttps,http\n2018-11-09\nc\n\n\n\n\n\n"
    );
    format!(
        "sv=2018-11-09&sr=c&sp={permissions}&se=2099-01-01T00%3A00%3A00Z&spr=https%2Chttp&sig={}",
        signed(&text)
    )
}

/// A signature for the whole account: with it the container is made.
fn account_sas() -> String {
    let text = format!("{ACCOUNT}\nrwdlac\nb\nsco\n\n2099-01-01T00:00:00Z\n\nhttps,http\n2019-12-12\n");
    format!(
        "sv=2019-12-12&ss=b&srt=sco&sp=rwdlac&se=2099-01-01T00%3A00%3A00Z&spr=https%2Chttp&sig={}",
        signed(&text)
    )
}

fn signed(text: &str) -> String {
    let key = format!("hexkey:{}", hex::encode(STANDARD.decode(KEY).unwrap()));
    let dir = std::env::temp_dir();
    let mac =
        openssl(&["dgst", "-sha256", "-mac", "HMAC", "-macopt", &key, "-binary"], &dir, text.as_bytes());
    STANDARD.encode(mac).replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")
}
