//! The way to an Enterprise Server: through a proxy, under the certificate of a company's own authority, and what is said
//! where it fails.

use super::branch;
use super::connect;
use super::sha;
use super::told;
use crate::tls::TlsServer;
use branchline::adapters::github::GitHubSettings;
use branchline::adapters::github::Patience;
use branchline::adapters::github::TimeLimits;
use branchline::adapters::network::Network;
use branchline::model::secret::Secret;
use branchline::ports::Forge;
use branchline::ports::PortError;
use branchline::ports::PortErrorKind;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;

/// What a proxy does with a `CONNECT`.
#[derive(Clone, Copy)]
enum Answer {
    /// Connects to this port of this machine, whatever host was named.
    Lead(u16),
    /// Answers with this status.
    Status(&'static str),
}

/// A proxy on this machine.
struct Proxy {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&asked);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, heard) = (client.expect("a connection"), Arc::clone(&heard));
                std::thread::spawn(move || serve(client, answer, &heard));
            }
        });
        Self { port, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("nobody panics").clone()
    }
}

fn serve(mut client: TcpStream, answer: Answer, heard: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if client.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        head.push(byte[0]);
    }
    heard.lock().expect("nobody panics").push(String::from_utf8_lossy(&head).into_owned());
    match answer {
        Answer::Status(status) => {
            drop(client.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes()));
        }
        Answer::Lead(port) => {
            let host = TcpStream::connect(("127.0.0.1", port)).expect("the host is there");
            client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").expect("a client");
            let (mut from, mut to) = (client.try_clone().expect("a handle"), host.try_clone().expect("a handle"));
            std::thread::spawn(move || drop(std::io::copy(&mut from, &mut to)));
            let (mut from, mut to) = (host, client);
            drop(std::io::copy(&mut from, &mut to));
        }
    }
}

/// The network as these variables describe it.
fn network(variables: &[(&str, &str)]) -> Network {
    Network::from_variables(|name| {
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    })
}

async fn ask(api_url: &str, network: Network) -> Result<(), PortError> {
    let settings = GitHubSettings {
        api_url: api_url.to_owned(),
        repository: "acme/churn".to_owned(),
        token: Some(Secret::new("ghs_job")),
        author: None,
        network,
        time_limits: TimeLimits::default(),
        patience: Patience::default(),
    };
    let (forge, _) = connect(settings).await;
    forge.branch_head(&branch("main")).await.map(|head| assert_eq!(head, Some(sha('1'))))
}

fn server() -> TlsServer {
    TlsServer::start(&format!(r#"{{"ref":"refs/heads/main","object":{{"type":"commit","sha":"{}"}}}}"#, sha('1')))
}

#[tokio::test]
async fn an_authority_of_ones_own_is_trusted_where_the_environment_names_it() {
    let server = server();
    let url = format!("https://localhost:{}/api/v3", server.port());
    let error = ask(&url, Network::default()).await.expect_err("nobody knows this authority");
    assert_eq!(error.kind, PortErrorKind::Network);
    let text = told(&error);
    assert!(text.contains("from an authority that this machine does not trust"), "{text}");
    assert!(text.contains("NODE_EXTRA_CA_CERTS") && !text.contains("githubstatus"), "{text}");
    assert_eq!(server.requests(), Vec::<String>::new());
    let missing = ask(&url, network(&[("NODE_EXTRA_CA_CERTS", "/nowhere/authority.pem")])).await.expect_err("no file");
    assert!(told(&missing).contains("NODE_EXTRA_CA_CERTS names /nowhere/authority.pem, which could not be read"));
    ask(&url, network(&[("NODE_EXTRA_CA_CERTS", TlsServer::authority())])).await.expect("it is trusted");
    assert!(server.requests()[0].starts_with("GET /api/v3/repos/acme/churn/git/ref/"), "{:?}", server.requests());
}

#[tokio::test]
async fn a_proxy_leads_to_a_host_that_this_machine_cannot_resolve() {
    let server = server();
    for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        let proxy = Proxy::start(Answer::Lead(server.port()));
        let address = format!("http://ada:s3cr3t@127.0.0.1:{}", proxy.port);
        let variables = [(variable, address.as_str()), ("NODE_EXTRA_CA_CERTS", TlsServer::authority())];
        ask("https://ghe.example.test/api/v3", network(&variables)).await.expect("the proxy leads there");
        let asked = proxy.asked();
        assert!(asked[0].starts_with("CONNECT ghe.example.test:443 HTTP/1.1\r\n"), "{asked:?}");
        // "ada:s3cr3t" in Base64.
        assert!(asked[0].contains("Proxy-Authorization: Basic YWRhOnMzY3IzdA==\r\n"), "{asked:?}");
    }
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_without_its_password() {
    for (status, why) in
        [("407 Proxy Authentication Required", "authorization required"), ("502 Bad Gateway", "unsuccessful")]
    {
        let proxy = Proxy::start(Answer::Status(status));
        let address = format!("http://ada:s3cr3t@127.0.0.1:{}", proxy.port);
        let asked = ask("https://ghe.example.test", network(&[("https_proxy", &address)])).await;
        let text = told(&asked.expect_err("it leads nowhere"));
        let place =
            format!("the proxy 127.0.0.1:{} (https_proxy) opened no connection to ghe.example.test", proxy.port);
        assert!(text.contains(&place) && text.contains(why), "{text}");
        assert!(!text.contains("s3cr3t") && !text.contains("githubstatus"), "{text}");
    }
}

#[tokio::test]
async fn hosts_of_no_proxy_and_this_machine_are_asked_directly() {
    let server = server();
    let proxy = Proxy::start(Answer::Status("502 Bad Gateway"));
    let address = format!("http://127.0.0.1:{}", proxy.port);
    let variables = [("ALL_PROXY", address.as_str()), ("NODE_EXTRA_CA_CERTS", TlsServer::authority())];
    ask(&format!("https://localhost:{}", server.port()), network(&variables)).await.expect("this very machine");
    let listed = [("ALL_PROXY", address.as_str()), ("no_proxy", ".example.test")];
    let text = told(&ask("https://ghe.example.test", network(&listed)).await.expect_err("no such host"));
    assert!(text.contains("DNS has no address for ghe.example.test"), "{text}");
    assert_eq!(proxy.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn the_layer_that_failed_is_named() {
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = closed.local_addr().expect("an address").port();
    drop(closed);
    let text = told(&ask(&format!("https://localhost:{port}"), Network::default()).await.expect_err("closed"));
    assert!(text.contains(&format!("localhost:{port} refused the connection")), "{text}");
    // A host that speaks, and not TLS.
    let plain = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = plain.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for client in plain.incoming() {
            drop(client.expect("a connection").write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"));
        }
    });
    let text = told(&ask(&format!("https://localhost:{port}"), Network::default()).await.expect_err("no TLS"));
    assert!(text.contains(&format!("localhost:{port}")), "{text}");
}
