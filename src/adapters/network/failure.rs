//! Why a connection failed: the layer that failed, in words, and what a person can do about it.

use std::error::Error;
use std::fmt;
use std::io;
use std::io::ErrorKind;

/// A name that has no address.
#[derive(Debug, thiserror::Error)]
#[error("the name {host} has no address")]
pub(crate) struct Unresolved {
    pub(super) host: String,
    #[source]
    pub(super) source: io::Error,
}

/// A connection that a proxy did not open.
#[derive(Debug, thiserror::Error)]
#[error("the proxy {place} opened no connection")]
pub(super) struct ProxyFailed {
    /// The variable that names the proxy.
    pub(super) variable: &'static str,
    /// Host and port, without credentials.
    pub(super) place: String,
    #[source]
    pub(super) source: Box<dyn Error + Send + Sync>,
}

/// Which layer failed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Layer {
    /// The host's name has no address.
    Dns { why: String },
    /// The host does not listen there.
    Refused,
    /// The proxy did not open a connection, or could not be reached itself.
    Proxy { variable: &'static str, place: String, why: String },
    /// The certificate's authority is not trusted.
    Untrusted { unread: Vec<String> },
    /// The two do not agree on TLS.
    Tls { why: String },
    /// Nothing came in time, from the host or from the proxy in between.
    TimedOut { proxy: Option<String> },
    /// Anything else, in the words of the innermost cause.
    Other { why: String },
}

/// Why a host could not be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConnectFailure {
    /// Host and port.
    host: String,
    layer: Layer,
}

impl ConnectFailure {
    /// Reads it from an error and its causes. `unread`: what of the certificate authorities could not be read; `proxy`:
    /// the one in between, and its variable.
    pub(crate) fn of(error: &(dyn Error + 'static), host: &str, unread: &[String], proxy: Option<&str>) -> Self {
        let layer = match layer(error, unread) {
            Layer::TimedOut { .. } => Layer::TimedOut { proxy: proxy.map(str::to_owned) },
            other => other,
        };
        Self { host: host.to_owned(), layer }
    }

    /// What a person can do about it, where this program knows.
    pub(crate) fn hint(&self) -> Option<String> {
        match &self.layer {
            Layer::Dns { .. } => Some(format!(
                "Check the name {} and this machine's DNS. Where a proxy leads outside, name it in HTTPS_PROXY.",
                self.host
            )),
            Layer::Refused => Some(format!(
                "Check the address and the firewall. Where a proxy leads to {}, name it in HTTPS_PROXY.",
                self.host
            )),
            Layer::Proxy { variable, .. } => {
                Some(format!("Check the proxy's address and credentials in {variable}, or list the host in NO_PROXY."))
            }
            Layer::Untrusted { .. } => Some(
                "Name the certificate authority of your company in NODE_EXTRA_CA_CERTS or SSL_CERT_FILE, or add it to \
                 the system's store."
                    .to_owned(),
            ),
            Layer::Tls { .. } => Some("Check whether a proxy or a firewall changes TLS on the way.".to_owned()),
            Layer::TimedOut { proxy: Some(proxy) } => Some(format!(
                "Check whether the proxy {proxy} works and reaches {host}, or list the host in NO_PROXY.",
                host = self.host
            )),
            Layer::TimedOut { proxy: None } => {
                Some("Check the firewall. Where a proxy leads outside, name it in HTTPS_PROXY.".to_owned())
            }
            Layer::Other { .. } => None,
        }
    }
}

impl fmt::Display for ConnectFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = &self.host;
        match &self.layer {
            Layer::Dns { why } => write!(f, "DNS has no address for {host}: {why}"),
            Layer::Refused => write!(f, "{host} refused the connection"),
            Layer::Proxy { variable, place, why } => {
                write!(f, "the proxy {place} ({variable}) opened no connection to {host}: {why}")
            }
            Layer::Untrusted { unread } => {
                write!(f, "TLS: the certificate of {host} comes from an authority that this machine does not trust")?;
                unread.iter().try_for_each(|file| write!(f, "; {file}"))
            }
            Layer::Tls { why } => write!(f, "TLS with {host} failed: {why}"),
            Layer::TimedOut { proxy: Some(proxy) } => {
                write!(f, "{host} did not answer in time through the proxy {proxy}")
            }
            Layer::TimedOut { proxy: None } => write!(f, "{host} did not answer in time"),
            Layer::Other { why } => f.write_str(why),
        }
    }
}

impl Error for ConnectFailure {}

fn layer(error: &(dyn Error + 'static), unread: &[String]) -> Layer {
    let mut cause = Some(error);
    while let Some(found) = cause {
        if let Some(failed) = found.downcast_ref::<ProxyFailed>() {
            let why = innermost(failed.source.as_ref());
            return Layer::Proxy { variable: failed.variable, place: failed.place.clone(), why };
        }
        if let Some(unresolved) = found.downcast_ref::<Unresolved>() {
            return Layer::Dns { why: unresolved.source.to_string() };
        }
        if let Some(tls) = tls(found) {
            return match tls {
                rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer) => {
                    Layer::Untrusted { unread: unread.to_vec() }
                }
                other => Layer::Tls { why: other.to_string() },
            };
        }
        match found.downcast_ref::<io::Error>().map(io::Error::kind) {
            Some(ErrorKind::ConnectionRefused) => return Layer::Refused,
            Some(ErrorKind::TimedOut) => return Layer::TimedOut { proxy: None },
            _ => {}
        }
        cause = within(found);
    }
    Layer::Other { why: innermost(error) }
}

fn tls<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    error.downcast_ref()
}

/// The next cause. What an I/O error wraps is its own cause, which `source` passes over.
fn within<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    match wrapped {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

/// The innermost cause says what happened; the layers around it say which library was used.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = within(cause) {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_out_names_the_proxy_in_between() {
        let error = io::Error::from(ErrorKind::TimedOut);
        let through = ConnectFailure::of(&error, "ghe.example.com", &[], Some("proxy:3128 (HTTPS_PROXY)"));
        let text = through.to_string();
        assert_eq!(text, "ghe.example.com did not answer in time through the proxy proxy:3128 (HTTPS_PROXY)");
        assert!(through.hint().is_some_and(|hint| hint.contains("NO_PROXY") && !hint.contains("name it in")));
        let direct = ConnectFailure::of(&error, "ghe.example.com", &[], None);
        assert_eq!(direct.to_string(), "ghe.example.com did not answer in time");
    }
}
