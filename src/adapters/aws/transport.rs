//! How Amazon's clients reach their hosts: through the proxy of the environment, trusting the authorities that count.
//!
//! Deliberately absent: requests, their repetition and what an answer means.

use crate::adapters::network::Network;
use aws_smithy_async::rt::sleep::SharedAsyncSleep;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::TlsContext;
use aws_smithy_http_client::tls::TrustStore;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::HttpConnectorSettings;
use aws_smithy_runtime_api::client::http::SharedHttpClient;

/// Returns the client to use in place of the SDK's own, where the environment adds certificate authorities: the SDK knows
/// the system's store and the proxies, and no more.
pub(super) fn client(network: &Network) -> Option<SharedHttpClient> {
    let context = context(network)?;
    Some(Builder::new().build_with_connector_fn(move |settings, components| {
        let mut builder = Connector::builder().proxy_config(ProxyConfig::from_env());
        builder.set_connector_settings(settings.cloned());
        if let Some(components) = components {
            builder.set_sleep_impl(components.sleep_impl());
        }
        builder.tls_provider(Provider::Rustls(CryptoMode::AwsLc)).tls_context(context.clone()).build()
    }))
}

/// Returns a connector for a request beside the services, such as that for an identity token.
pub(super) fn connector(network: &Network, settings: HttpConnectorSettings, sleep: SharedAsyncSleep) -> Connector {
    let builder = Connector::builder()
        .connector_settings(settings)
        .sleep_impl(sleep)
        .proxy_config(ProxyConfig::from_env())
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc));
    match context(network) {
        Some(context) => builder.tls_context(context).build(),
        None => builder.build(),
    }
}

fn context(network: &Network) -> Option<TlsContext> {
    let pem = network.authorities.amazon_pem()?;
    let store = TrustStore::default().with_pem_certificate(pem);
    TlsContext::builder().with_trust_store(store).build().ok()
}
