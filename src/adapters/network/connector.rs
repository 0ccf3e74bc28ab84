//! Opens connections to one host: directly or through its proxy, and over TLS.
//!
//! Each layer marks its own errors, so that a message can name what failed.

use crate::adapters::network::Network;
use crate::adapters::network::failure::ProxyFailed;
use crate::adapters::network::failure::Unresolved;
use crate::adapters::network::proxies::Proxy;
use http::Uri;
use hyper_rustls::HttpsConnector;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_rustls::MaybeHttpsStream;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::GaiAddrs;
use hyper_util::client::legacy::connect::dns::GaiResolver;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::client::legacy::connect::proxy::SocksV4;
use hyper_util::client::legacy::connect::proxy::SocksV5;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use tokio::net::TcpStream;
use tower_service::Service;

type BoxError = Box<dyn Error + Send + Sync>;
type Opening<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;
type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;
type Tcp = HttpConnector<Resolver>;

/// Opens connections to one host.
#[derive(Clone)]
pub(crate) struct Connector {
    tcp: Tcp,
    /// To the proxy, which may itself be reached over TLS.
    to_proxy: HttpsConnector<Tcp>,
    proxy: Option<Arc<Proxy>>,
}

/// What a connector is made with, beside itself.
pub(crate) struct Opened {
    /// The connector, with TLS around it.
    pub(crate) connector: HttpsConnector<Connector>,
    /// What of the certificate authorities could not be read.
    pub(crate) unread: Vec<String>,
    /// The proxy in between: its place without credentials, and the variable that names it.
    pub(crate) proxy: Option<String>,
}

impl Connector {
    /// Prepares to connect to the host of an address. Nothing is sent.
    ///
    /// # Errors
    ///
    /// A sentence about a variable that names no proxy, or about TLS.
    pub(crate) fn to(destination: &Uri, network: &Network) -> Result<Opened, String> {
        let proxy = network.proxies.before(destination)?.map(Arc::new);
        let named = proxy.as_ref().map(|proxy| format!("{} ({})", proxy.place(), proxy.variable));
        let trusted = network.authorities.load();
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|why| format!("TLS could not be prepared: {why}"))?
            .with_root_certificates(trusted.roots)
            .with_no_client_auth();
        let mut tcp = HttpConnector::new_with_resolver(Resolver(GaiResolver::new()));
        tcp.enforce_http(false);
        let builder = || HttpsConnectorBuilder::new().with_tls_config(config.clone()).https_or_http().enable_http1();
        let to_proxy = builder().wrap_connector(tcp.clone());
        let connector = builder().wrap_connector(Self { tcp, to_proxy, proxy });
        Ok(Opened { connector, unread: trusted.unread, proxy: named })
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = BoxError;
    type Future = Opening<Stream>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, destination: Uri) -> Self::Future {
        let Some(proxy) = self.proxy.clone() else {
            let opening = self.tcp.call(destination);
            return Box::pin(async move { Ok(MaybeHttpsStream::Http(opening.await?)) });
        };
        let opening = through(&proxy, self.to_proxy.clone(), destination);
        Box::pin(async move {
            let failed = |source| ProxyFailed { variable: proxy.variable, place: proxy.place(), source };
            Ok(opening.await.map_err(failed)?)
        })
    }
}

/// Opens a connection to a host through its proxy.
fn through(proxy: &Proxy, inner: HttpsConnector<Tcp>, destination: Uri) -> Opening<Stream> {
    let address = proxy.address.clone();
    match address.scheme_str().unwrap_or_default() {
        scheme @ ("socks5" | "socks5h") => {
            let mut socks = SocksV5::new(over_tcp(&address), inner).local_dns(scheme == "socks5");
            if let Some((user, password)) = proxy.login.clone() {
                socks = socks.with_auth(user, password);
            }
            let opening = socks.call(destination);
            Box::pin(async move { Ok(opening.await?) })
        }
        scheme @ ("socks4" | "socks4a") => {
            let opening = SocksV4::new(over_tcp(&address), inner).local_dns(scheme == "socks4").call(destination);
            Box::pin(async move { Ok(opening.await?) })
        }
        _ => {
            let mut tunnel = Tunnel::new(address, inner);
            if let Some(basic) = proxy.basic.clone() {
                tunnel = tunnel.with_auth(basic);
            }
            let opening = tunnel.call(destination);
            Box::pin(async move { Ok(opening.await?) })
        }
    }
}

/// SOCKS is spoken over plain TCP, which the connector knows by the name `http`; its usual port is 1080.
fn over_tcp(address: &Uri) -> Uri {
    let host = address.host().unwrap_or_default();
    let port = address.port_u16().unwrap_or(1080);
    format!("http://{host}:{port}").parse().unwrap_or_else(|_| address.clone())
}

/// Resolves names as the system does, and marks its errors.
#[derive(Clone)]
pub(crate) struct Resolver(GaiResolver);

impl Service<Name> for Resolver {
    type Response = GaiAddrs;
    type Error = Unresolved;
    type Future = Pin<Box<dyn Future<Output = Result<GaiAddrs, Unresolved>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Unresolved>> {
        self.0.poll_ready(context).map_err(|source| Unresolved { host: String::new(), source })
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let host = name.as_str().to_owned();
        let asking = self.0.call(name);
        Box::pin(async move { asking.await.map_err(|source| Unresolved { host, source }) })
    }
}
