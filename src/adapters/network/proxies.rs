//! Which proxy stands between this machine and a host, as the environment says it.
//!
//! The variables and the rules of `NO_PROXY` are those of curl, read by `hyper-util`, as Amazon's client does. A proxy's
//! address may hold a password: no message shows more of it than host and port.

use crate::adapters::network::is_loopback;
use crate::model::secret::Secret;
use http::HeaderValue;
use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;

/// The proxies that the environment names.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    proxy: Option<Setting>,
    no_proxy: String,
}

/// One variable that names a proxy.
#[derive(Debug, Clone)]
struct Setting {
    variable: &'static str,
    value: Secret,
}

/// A proxy that stands before a host.
#[derive(Clone)]
pub(super) struct Proxy {
    /// The variable that names it.
    pub(super) variable: &'static str,
    pub(super) address: Uri,
    pub(super) basic: Option<HeaderValue>,
    /// User and password, as SOCKS takes them.
    pub(super) login: Option<(String, String)>,
}

impl Proxies {
    /// Reads them from a look-up of environment variables. All hosts outside are reached over TLS, so that `HTTP_PROXY`
    /// speaks of none of them.
    pub fn from_variables(get: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| get(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let named = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
        let proxy =
            named.into_iter().find_map(|variable| Some(Setting { variable, value: Secret::new(set(variable)?) }));
        let no_proxy = set("NO_PROXY").or_else(|| set("no_proxy")).unwrap_or_default();
        Self { proxy, no_proxy }
    }

    /// Returns the proxy before a host, or says which variable is wrong.
    pub(super) fn before(&self, destination: &Uri) -> Result<Option<Proxy>, String> {
        let Some(Setting { variable, value }) = &self.proxy else { return Ok(None) };
        let host = destination.host().unwrap_or_default();
        if is_loopback(host) {
            return Ok(None);
        }
        let all = || Matcher::builder().all(value.expose().to_owned());
        if all().build().intercept(destination).is_none() {
            // The value may hold a password.
            return Err(format!(
                "{variable} is not the address of a proxy: write http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT"
            ));
        }
        let found = all().no(listed(&self.no_proxy, destination)).build().intercept(destination);
        Ok(found.map(|found| Proxy {
            variable,
            address: found.uri().clone(),
            basic: found.basic_auth().cloned(),
            login: found.raw_auth().map(|(user, password)| (user.to_owned(), password.to_owned())),
        }))
    }
}

/// Returns the entries of `NO_PROXY` that may speak of a destination, as hosts alone. One with a port speaks of that port
/// only: GitHub's page on proxies for self-hosted runners writes `myserver.local:443`.
fn listed(no_proxy: &str, destination: &Uri) -> String {
    const HTTPS: u16 = 443;
    let port = destination.port_u16().unwrap_or(HTTPS);
    let entries = no_proxy.split(',').map(str::trim).filter_map(|entry| match entry.rsplit_once(':') {
        // Another colon in front: an address of version 6 without a port.
        Some((host, digits)) if !host.contains(':') || host.ends_with(']') => match digits.parse::<u16>() {
            Ok(only) => (only == port).then_some(host.trim_matches(['[', ']'])),
            Err(_) => Some(entry),
        },
        Some(_) | None => Some(entry),
    });
    entries.collect::<Vec<_>>().join(",")
}

impl Proxy {
    /// Host and port, as a message shows them.
    pub(super) fn place(&self) -> String {
        self.address.authority().map(ToString::to_string).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Proxies {
        let found =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Proxies::from_variables(found)
    }

    fn before(variables: &[(&str, &str)], host: &str) -> Option<(String, &'static str)> {
        let uri = host.parse().expect("an address");
        let found = proxies(variables).before(&uri).expect("a proxy or none");
        found.map(|proxy| (proxy.place(), proxy.variable))
    }

    #[test]
    fn the_variables_of_curl_name_the_proxy() {
        let host = "https://ghe.example.com/api/v3";
        for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
            let found = before(&[(variable, "http://proxy:3128")], host);
            assert_eq!(found, Some(("proxy:3128".to_owned(), variable)));
        }
        let both = [("ALL_PROXY", "http://all:1"), ("https_proxy", "proxy:3128"), ("HTTPS_PROXY", " ")];
        assert_eq!(before(&both, host), Some(("proxy:3128".to_owned(), "https_proxy")));
        assert_eq!(before(&[("HTTP_PROXY", "http://proxy:3128")], host), None);
        assert_eq!(before(&[], host), None);
    }

    #[test]
    fn an_entry_with_a_port_speaks_of_that_port() {
        let through = |no_proxy: &str, host: &str| {
            before(&[("HTTPS_PROXY", "http://proxy:3128"), ("NO_PROXY", no_proxy)], host).is_some()
        };
        assert!(!through("example.org,ghe.example.com:443", "https://ghe.example.com/api"));
        assert!(!through(".example.com:8443", "https://ghe.example.com:8443/"));
        assert!(through("ghe.example.com:8443", "https://ghe.example.com/"));
        assert!(!through("[fd00::1]:443,10.0.0.0/8", "https://[fd00::1]/"));
        assert!(!through("fd00::1", "https://[fd00::1]/"));
        assert!(!through("10.0.0.0/8", "https://10.1.2.3/"));
    }

    #[test]
    fn what_no_proxy_lists_and_this_machine_are_reached_directly() {
        for list in ["*", "example.com", ".example.com", "other, ghe.example.com"] {
            for variable in ["NO_PROXY", "no_proxy"] {
                let set = [("HTTPS_PROXY", "http://proxy:1"), (variable, list)];
                assert_eq!(before(&set, "https://ghe.example.com"), None, "{variable}={list}");
                assert_eq!(before(&set, "https://ghe.example.org").is_none(), list == "*", "{variable}={list}");
            }
        }
        let network = [("HTTPS_PROXY", "http://proxy:1"), ("NO_PROXY", "10.0.0.0/8")];
        assert_eq!(before(&network, "https://10.1.2.3"), None);
        for own in ["https://localhost:1", "http://127.0.0.1:4000", "https://[::1]:2"] {
            assert_eq!(before(&[("ALL_PROXY", "http://proxy:1")], own), None, "{own}");
        }
    }

    #[test]
    fn a_password_is_sent_and_never_shown() {
        let set = [("HTTPS_PROXY", "http://ada:s3cr3t%21@proxy:3128")];
        let found = proxies(&set).before(&"https://h".parse().expect("an address")).expect("a proxy").expect("one");
        assert_eq!(found.place(), "proxy:3128");
        // "ada:s3cr3t!" in Base64.
        assert_eq!(found.basic.as_ref().and_then(|value| value.to_str().ok()), Some("Basic YWRhOnMzY3IzdCE="));
        assert!(!format!("{:?}", proxies(&set)).contains("s3cr3t"));
        for wrong in ["ftp://ada:s3cr3t@proxy", "http://ada:s3cr3t@", "http://a b:s3cr3t"] {
            let refused = proxies(&[("ALL_PROXY", wrong)]).before(&"https://h".parse().expect("an address"));
            let Err(text) = refused else { panic!("{wrong} is no proxy") };
            assert!(text.starts_with("ALL_PROXY is not the address of a proxy") && !text.contains("s3cr3t"), "{text}");
        }
    }
}
