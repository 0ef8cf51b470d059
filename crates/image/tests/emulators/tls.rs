//! Servers that do not behave as an object store: a TLS server, and one that speaks another protocol.
#![expect(clippy::unwrap_used, reason = "test fixture")]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Starts a server at an address that completes TLS handshakes with this certificate. Returns its port.
pub(crate) fn serve_tls(address: &str, certificate: &str, key: &str) -> u16 {
    let chain = CertificateDer::pem_file_iter(certificate).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = Arc::new(config.unwrap().with_no_client_auth().with_single_cert(chain, key).unwrap());
    serve(address, move |mut stream| {
        let mut connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
        // Fails if the client rejects the certificate.
        let _ = connection.complete_io(&mut stream);
    })
}

/// Starts a server that answers the first bytes of each connection with this text. Returns its port.
pub(crate) fn serve_text(text: &'static str) -> u16 {
    serve("127.0.0.1", move |mut stream| {
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(text.as_bytes());
    })
}

fn serve(address: &str, handle: impl Fn(TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || listener.incoming().for_each(|stream| handle(stream.unwrap())));
    port
}
