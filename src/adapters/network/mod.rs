//! The way to a host outside: the proxy of this machine, the certificate authorities that count, and why a connection
//! failed.
//!
//! Deliberately absent: reading the environment (`cli::env_vars` hands in a look-up), requests and their repetition.
//! Amazon's own client reads the proxy variables itself.

mod authorities;
mod connector;
mod failure;
mod proxies;

pub use authorities::Authorities;
pub(crate) use connector::Connector;
pub(crate) use failure::ConnectFailure;
pub use proxies::Proxies;

/// How hosts outside are reached from this machine.
#[derive(Debug, Clone, Default)]
pub struct Network {
    /// The proxies that the environment names.
    pub proxies: Proxies,
    /// The certificate authorities beside those of the system.
    pub authorities: Authorities,
}

impl Network {
    /// Reads it from a look-up of environment variables.
    pub fn from_variables(get: impl Fn(&str) -> Option<String>) -> Self {
        Self { proxies: Proxies::from_variables(&get), authorities: Authorities::from_variables(&get) }
    }
}

/// Tells whether a host is this very machine, which is never reached through a proxy.
fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
