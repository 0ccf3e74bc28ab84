//! The certificate authorities that count: those of the system, Mozilla's, and those that the environment adds.
//!
//! `SSL_CERT_FILE` and `SSL_CERT_DIR` stand in place of the system's store, as for OpenSSL; `rustls-native-certs` reads
//! them. `NODE_EXTRA_CA_CERTS` adds a file, as for GitHub's own actions; `AWS_CA_BUNDLE` adds one for Amazon, as for the
//! AWS command line.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use std::path::Path;
use std::path::PathBuf;

/// Adds authorities for every host.
const NODE_EXTRA_CA_CERTS: &str = "NODE_EXTRA_CA_CERTS";

/// Names a file in place of the system's store.
const SSL_CERT_FILE: &str = "SSL_CERT_FILE";

/// Names a folder in place of the system's store.
const SSL_CERT_DIR: &str = "SSL_CERT_DIR";

/// Adds authorities for Amazon.
const AWS_CA_BUNDLE: &str = "AWS_CA_BUNDLE";

/// The certificate authorities that the environment adds to those of the system.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Authorities {
    extra: Option<PathBuf>,
    /// In place of the system's store.
    store: Option<PathBuf>,
    folder: Option<PathBuf>,
    amazon: Option<PathBuf>,
}

/// Authorities as they were found.
pub(super) struct Trusted {
    pub(super) roots: RootCertStore,
    /// What could not be read, and why: a part of the message where a certificate is not trusted.
    pub(super) unread: Vec<String>,
}

impl Authorities {
    /// Reads them from a look-up of environment variables.
    pub fn from_variables(get: impl Fn(&str) -> Option<String>) -> Self {
        let path = |name: &str| get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self {
            extra: path(NODE_EXTRA_CA_CERTS),
            store: path(SSL_CERT_FILE),
            folder: path(SSL_CERT_DIR),
            amazon: path(AWS_CA_BUNDLE),
        }
    }

    /// Loads all that count for a host that is none of Amazon's. Mozilla's count too: a slim container has no store.
    pub(super) fn load(&self) -> Trusted {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        // It reads the variables itself, and would wait for whoever writes into a pipe.
        let wrong = self.store.as_ref().and_then(|file| not_a_file(SSL_CERT_FILE, file));
        let system = match (&wrong, &self.folder) {
            (None, _) => rustls_native_certs::load_native_certs(),
            (Some(_), folder) => rustls_native_certs::load_certs_from_paths(None, folder.as_deref()),
        };
        roots.add_parsable_certificates(system.certs);
        let mut unread: Vec<String> = system.errors.iter().map(ToString::to_string).chain(wrong).collect();
        let (extra, trouble) = read(NODE_EXTRA_CA_CERTS, self.extra.as_ref());
        roots.add_parsable_certificates(extra);
        unread.extend(trouble);
        Trusted { roots, unread }
    }

    /// Returns what counts for Amazon beside the system's store, as PEM text; `None` where the environment adds nothing
    /// that can be used.
    pub(crate) fn amazon_pem(&self) -> Option<String> {
        let files = [(AWS_CA_BUNDLE, self.amazon.as_ref()), (NODE_EXTRA_CA_CERTS, self.extra.as_ref())];
        let found = files.into_iter().flat_map(|(variable, file)| read(variable, file).0);
        // Amazon's client ends the program at a certificate that it cannot parse.
        let usable = found.filter(|certificate| RootCertStore::empty().add(certificate.clone()).is_ok());
        let pem: String = usable
            .map(|certificate| {
                let body = aws_smithy_types::base64::encode(certificate.as_ref());
                format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
            })
            .collect();
        (!pem.is_empty()).then_some(pem)
    }
}

/// The largest file of certificates that is read, in bytes. Mozilla's whole list has less than one MiB.
const LIMIT: u64 = 16 << 20;

/// Says that a path names something that is not read. Opening a pipe would wait for a writer, and a device may have no
/// end. Where there is nothing, whoever reads says why.
fn not_a_file(variable: &str, path: &Path) -> Option<String> {
    let about = std::fs::metadata(path).ok()?;
    let wrong = !about.is_file() || about.len() > LIMIT;
    wrong.then(|| format!("{variable} names {}, which is not a file of at most 16 MiB", path.display()))
}

fn read(variable: &str, file: Option<&PathBuf>) -> (Vec<CertificateDer<'static>>, Option<String>) {
    let Some(file) = file else { return (Vec::new(), None) };
    let place = || format!("{variable} names {}", file.display());
    if let Some(wrong) = not_a_file(variable, file) {
        return (Vec::new(), Some(wrong));
    }
    match CertificateDer::pem_file_iter(file) {
        Ok(found) => {
            let found: Vec<_> = found.filter_map(Result::ok).collect();
            let trouble = found.is_empty().then(|| format!("{}, which holds no certificate", place()));
            (found, trouble)
        }
        Err(error) => (Vec::new(), Some(format!("{}, which could not be read: {error}", place()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_holds_nothing_is_named_and_adds_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let empty = folder.path().join("empty.pem");
        std::fs::write(&empty, "no certificate").expect("written");
        for (file, word) in [(empty, "holds no certificate"), (folder.path().join("none.pem"), "could not be read")] {
            let name = file.display().to_string();
            let authorities = Authorities::from_variables(|asked| (asked == NODE_EXTRA_CA_CERTS).then(|| name.clone()));
            let trusted = authorities.load();
            assert!(
                trusted.unread.iter().any(|text| text.contains(&name) && text.contains(word)),
                "{:?}",
                trusted.unread
            );
            assert!(trusted.roots.len() > 50, "Mozilla's still count");
            assert_eq!(authorities.amazon_pem(), None);
        }
    }

    #[test]
    fn a_store_that_is_no_file_is_named_and_not_opened() {
        let variable = |asked: &str| (asked == SSL_CERT_FILE).then(|| "/dev/zero".to_owned());
        let trusted = Authorities::from_variables(variable).load();
        assert!(
            trusted.unread.iter().any(|text| text.contains("SSL_CERT_FILE names /dev/zero")),
            "{:?}",
            trusted.unread
        );
        assert!(trusted.roots.len() > 50, "Mozilla's still count");
    }

    #[test]
    fn what_is_no_file_holds_nobody() {
        let (found, trouble) = read(NODE_EXTRA_CA_CERTS, Some(&PathBuf::from("/dev/zero")));
        assert!(found.is_empty() && trouble.is_some_and(|text| text.contains("not a file")));
    }
}
