//! A server on this machine that speaks HTTPS under a certificate of an authority that nobody trusts: `fixtures/tls/`.

use rustls::ServerConfig;
use rustls::ServerConnection;
use rustls::StreamOwned;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;

/// A server that gives every request the same answer.
pub struct TlsServer {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl TlsServer {
    /// The file with the certificate of its authority.
    pub fn authority() -> &'static str {
        concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/tls/authority.pem")
    }

    /// Starts one for `localhost` and `ghe.example.test`. `answer`: the JSON of every answer.
    pub fn start(answer: &str) -> Self {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/tls");
        let certificate = CertificateDer::from_pem_file(format!("{folder}/server.pem")).expect("a certificate");
        let key = PrivateKeyDer::from_pem_file(format!("{folder}/server.key")).expect("a key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions of TLS")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("key and certificate belong together");
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (heard, answer) = (Arc::clone(&requests), answer.to_owned());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, config) = (client.expect("a connection"), Arc::clone(&config));
                let (heard, answer) = (Arc::clone(&heard), answer.clone());
                std::thread::spawn(move || serve(client, config, &heard, &answer));
            }
        });
        Self { port, requests }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The first lines of the requests that arrived.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("nobody panics").clone()
    }
}

/// Answers one request. A client that does not trust the certificate ends the connection before.
fn serve(client: TcpStream, config: Arc<ServerConfig>, heard: &Mutex<Vec<String>>, answer: &str) {
    let connection = ServerConnection::new(config).expect("a connection");
    let mut stream = StreamOwned::new(connection, client);
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let first = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
    heard.lock().expect("nobody panics").push(first);
    let length = answer.len();
    let text = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{answer}"
    );
    drop(stream.write_all(text.as_bytes()).and_then(|()| stream.flush()));
    stream.conn.send_close_notify();
    drop(stream.flush());
}
