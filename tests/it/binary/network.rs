//! The variables of proxies and certificate authorities, as the program itself reads them.

use super::harness::Project;
use super::harness::Said;
use super::harness::TRAINS;
use super::harness::finish;
use crate::tls::TlsServer;
use std::net::TcpListener;

/// Runs a push of `dev` as a step of GitHub Actions whose API is at this address.
fn step(api_url: &str, variables: &[(&str, &str)]) -> Said {
    let mut project = Project::with_script(TRAINS);
    project.in_ci();
    project.git.git(&["remote", "add", "origin", "."]);
    project.git.git(&["fetch", "--quiet", "origin", "+refs/heads/*:refs/remotes/origin/*"]);
    let head = project.git.git(&["rev-parse", "dev"]);
    let payload = project.outside().join("payload.json");
    let text = serde_json::json!({
        "ref": "refs/heads/dev", "before": "0".repeat(40), "after": head, "created": true,
        "repository": { "id": 1, "full_name": "acme/churn", "default_branch": "dev" }, "sender": { "login": "ada" },
    });
    std::fs::write(&payload, text.to_string()).expect("a payload");
    let payload = payload.display().to_string();
    let mut command = project.command(project.git.root(), super::harness::PROGRAM);
    for (name, value) in [
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_EVENT_NAME", "push"),
        ("GITHUB_EVENT_PATH", &payload),
        ("GITHUB_REPOSITORY", "acme/churn"),
        ("GITHUB_API_URL", api_url),
        ("GITHUB_TOKEN", "ghs_0123456789"),
        ("RUNNER_ENVIRONMENT", "self-hosted"),
    ] {
        command.env(name, value);
    }
    finish(command.envs(variables.iter().copied()).args(["run"]))
}

#[test]
fn the_files_that_openssl_and_node_read_are_read() {
    for variable in ["SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"] {
        let server = TlsServer::start(r#"{"check_runs": []}"#);
        let url = format!("https://localhost:{}/api/v3", server.port());
        step(&url, &[(variable, TlsServer::authority())]);
        let requests = server.requests();
        assert!(requests.iter().any(|line| line.contains(" /api/v3/repos/acme/churn/")), "{variable}: {requests:?}");
    }
}

#[test]
fn a_proxy_of_the_environment_is_used_and_its_password_never_shown() {
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = closed.local_addr().expect("an address").port();
    drop(closed);
    let proxy = format!("http://ada:s3cr3t@127.0.0.1:{port}");
    let said = step("https://ghe.invalid/api/v3", &[("https_proxy", &proxy)]);
    let all = format!("{}{}", said.out, said.err);
    let why = format!("the proxy 127.0.0.1:{port} (https_proxy) opened no connection to ghe.invalid");
    assert!(all.contains(&why), "{all}");
    assert!(!all.contains("s3cr3t") && !all.contains("githubstatus"), "{all}");
    let said = step("https://ghe.invalid/api/v3", &[("HTTPS_PROXY", "ftp://ada:s3cr3t@proxy")]);
    let all = format!("{}{}", said.out, said.err);
    assert!(all.contains("HTTPS_PROXY is not the address of a proxy") && !all.contains("s3cr3t"), "{all}");
}
