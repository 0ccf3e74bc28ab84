//! The cloud adapters against software that others wrote, brought and started by `tests/s3s/run` and `tests/moto/run`.
//! Each of the two lacks things that Amazon has; a test names such a gap where it meets one, and leans on none.
//!
//! A test that needs the other side is ignored, and run by one that is not, in a process of its own beside that side.

mod moto;
mod s3s;

use aws_sdk_s3::config::Credentials;
use aws_sdk_s3::config::SharedCredentialsProvider;
use aws_sdk_s3::primitives::ByteStream;
use branchline::adapters::aws::Patience;
use branchline::adapters::aws::Session;
use branchline::adapters::aws::SessionOptions;
use branchline::model::cloud::AccountPlace;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// A size that makes three parts of at least 5 MiB, the last one odd.
const THREE_PARTS: usize = (12 << 20) + 7;

/// Lets a script start the other side, and run the ignored tests of a module there.
fn agrees(script: &str, module: &str, least: usize) {
    let script = format!("{}/{script}", env!("CARGO_MANIFEST_DIR"));
    let tests = std::env::current_exe().expect("these tests have a file");
    let output = Command::new(&script).arg(tests).output().unwrap_or_else(|error| panic!("{script}: {error}"));
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script}:\n{said}");
    let passed = said.lines().filter(|line| line.contains(module) && line.ends_with("... ok")).count();
    assert!(passed >= least, "{script} ran {passed} tests of {module}, and there are {least}:\n{said}");
}

#[test]
fn moto_agrees() {
    agrees("tests/moto/run", "second_opinion::moto::", 10);
}

#[test]
fn s3s_agrees() {
    agrees("tests/s3s/run", "second_opinion::s3s::", 5);
}

#[expect(clippy::disallowed_methods, reason = "how the script that starts the other side tells where it is")]
fn address(variable: &str, script: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set: run {script}"))
}

fn place(bucket: &str) -> AccountPlace {
    AccountPlace {
        account_id: None,
        region: "us-east-1".to_owned(),
        bucket: bucket.to_owned(),
        prefix: "branchline".to_owned(),
        assume_role_arn: None,
        read_role_arn: None,
        execution_role_arn: None,
        kms_key: None,
    }
}

async fn session(address: &str, bucket: &str, credentials: SharedCredentialsProvider) -> Arc<Session> {
    let patience = Patience { tries: 3, first_pause: Duration::from_millis(20), ..Patience::default() };
    let options = SessionOptions {
        endpoint: Some(address.to_owned()),
        credentials: Some(credentials),
        patience,
        ..SessionOptions::default()
    };
    Arc::new(Session::new(place(bucket), &options).await)
}

fn keys(id: &str, secret: &str) -> SharedCredentialsProvider {
    SharedCredentialsProvider::new(Credentials::new(id, secret, None, None, "second opinion"))
}

/// A bucket of its own for a test.
fn fresh(name: &str) -> String {
    format!("{name}-{}", uuid::Uuid::new_v4().simple())
}

/// Bytes without a pattern that a mistake about offsets could hide in.
fn bytes(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        })
        .collect()
}

async fn put(session: &Session, key: &str, content: &[u8]) {
    session
        .s3
        .put_object()
        .bucket(&session.place.bucket)
        .key(key)
        .metadata("made-by", "a test")
        .content_type("application/gzip")
        .body(ByteStream::from(content.to_vec()))
        .send()
        .await
        .expect("it can be put");
}

async fn get(session: &Session, key: &str) -> Vec<u8> {
    // The bytes are compared by whoever asks: the checksums of the other side are its own business.
    let unchecked = aws_sdk_s3::config::Builder::new()
        .response_checksum_validation(aws_sdk_s3::config::ResponseChecksumValidation::WhenRequired);
    let said = session
        .s3
        .get_object()
        .bucket(&session.place.bucket)
        .key(key)
        .customize()
        .config_override(unchecked)
        .send()
        .await
        .expect("it is there");
    said.body.collect().await.expect("it can be read").to_vec()
}
