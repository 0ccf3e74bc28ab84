//! A large artifact that S3 copies in parts, beside what others would use: a bare loop of the same requests, boto3 and
//! `aws s3 cp`, all against s3s-fs on this machine.
//!
//! `tests/s3s/run` brings s3s-fs. BRANCHLINE_BENCH_PYTHON names a Python that has boto3, and `aws` beside it; without it
//! the two yardsticks are left out. BRANCHLINE_BENCH_MIB is the size, 2048 where it is not set.

#[path = "world/measure.rs"]
mod measure;

use crate::measure::Line;
use crate::measure::Table;
use crate::measure::Times;
use crate::measure::ratio;
use crate::measure::shown;
use aws_sdk_s3::config::Credentials;
use aws_sdk_s3::config::SharedCredentialsProvider;
use aws_sdk_s3::config::StalledStreamProtectionConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ChecksumAlgorithm;
use aws_sdk_s3::types::ChecksumType;
use aws_sdk_s3::types::CompletedMultipartUpload;
use aws_sdk_s3::types::CompletedPart;
use branchline::adapters::aws::Patience;
use branchline::adapters::aws::Session;
use branchline::adapters::aws::SessionOptions;
use branchline::adapters::s3::CopyFailure;
use branchline::adapters::s3::CopyOptions;
use branchline::adapters::s3::CopySizes;
use branchline::adapters::s3::S3Place;
use branchline::adapters::s3::copy_object;
use branchline::model::cloud::AccountPlace;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

const PART: u64 = 64 << 20;
const AT_ONCE: usize = 16;
const ROUNDS: usize = 2;
const KEY: (&str, &str) = ("branchline", "second-opinion");

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["child-ours", address, from, to] => return runtime.block_on(ours(address, from, to)),
        ["child-bare", address, from, to] => return runtime.block_on(bare(address, from, to)),
        _ => {}
    }
    let Some(server) = Server::start() else {
        measure::say("s3s-fs is missing: tests/s3s/run brings it");
        return;
    };
    let mebibytes: u64 = variable("BRANCHLINE_BENCH_MIB").and_then(|text| text.parse().ok()).unwrap_or(2048);
    let small = mebibytes.min(256);
    runtime.block_on(async {
        fill(&server, "large", mebibytes).await;
        fill(&server, "small", small).await;
    });
    let mut count = 0;
    let mut target = move || {
        count += 1;
        format!("copy-{count}")
    };
    let mut table = Table::begin();
    let child = |which: &str, from: &str, to: &str| {
        let mut command = Command::new(std::env::current_exe().expect("this program has a file"));
        command.args([which, &server.address, from, to]);
        command
    };
    let copied = |which: &str, to: String| server.copied(&mut child(which, "large", &to), &to);
    let [loops, mine] =
        Times::of_two(ROUNDS, &mut target, [&|to| copied("child-bare", to), &|to| copied("child-ours", to)]);
    let peak = measure::peak_kib(&child("child-ours", "large", &target())).unwrap_or(0);
    let little = measure::peak_kib(&child("child-ours", "small", &target())).unwrap_or(0);
    let mib = |kib: u64| format!("{:.1} MiB", kib as f64 / 1024.0);
    let what = format!("copying {mebibytes} MiB in parts of 64 MiB, 16 at a time");
    table.line(Line {
        measure: &what,
        ours: format!("{}, {}", shown(&mine), mib(peak)),
        yardstick: format!("a bare loop of the same requests {}", shown(&loops)),
        ratio: Some(ratio(mine.best(), loops.best())),
        goal: "within 1.2 times",
        met: Some(ratio(mine.best(), loops.best()) <= 1.2),
    });
    let growth = peak as f64 / little.max(1) as f64;
    table.line(Line {
        measure: &format!("its memory, {mebibytes} MiB beside {small} MiB"),
        ours: mib(peak),
        yardstick: mib(little),
        ratio: Some(growth),
        goal: "flat: < 1.1",
        met: Some(growth < 1.1),
    });
    for (name, program) in [("boto3", BOTO3), ("`aws s3 cp`", "")] {
        let Some(python) = variable("BRANCHLINE_BENCH_PYTHON").map(PathBuf::from) else { continue };
        let others = Times::of(ROUNDS, &mut target, |to| {
            let mut command = if program.is_empty() {
                let mut command = Command::new(python.with_file_name("aws"));
                let (from, to) = ("s3://bench/large", format!("s3://bench/{to}"));
                command.args(["s3", "cp", from, &to, "--endpoint-url", &server.address]);
                command.env("AWS_CONFIG_FILE", server.folder.path().join("aws-config"));
                command
            } else {
                let mut command = Command::new(&python);
                command.args(["-c", program, &server.address, &to]);
                command
            };
            command.env("AWS_ACCESS_KEY_ID", KEY.0).env("AWS_SECRET_ACCESS_KEY", KEY.1);
            server.copied(command.env("AWS_DEFAULT_REGION", "us-east-1"), &to);
        });
        table.line(Line {
            measure: &what,
            ours: shown(&mine),
            yardstick: format!("{name} {}", shown(&others)),
            ratio: Some(ratio(mine.best(), others.best())),
            goal: "",
            met: None,
        });
    }
    table.end();
}

const BOTO3: &str = "
import boto3, sys
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
s3 = boto3.client('s3', endpoint_url=sys.argv[1], config=Config(s3={'addressing_style': 'path'}, max_pool_connections=16, read_timeout=600))
config = TransferConfig(multipart_threshold=64 << 20, multipart_chunksize=64 << 20, max_concurrency=16)
s3.copy({'Bucket': 'bench', 'Key': 'large'}, 'bench', sys.argv[2], Config=config)
";

#[expect(clippy::disallowed_methods, reason = "how a person tells a bench what is there")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// s3s-fs, on a folder of its own.
struct Server {
    process: Child,
    address: String,
    folder: tempfile::TempDir,
}

impl Server {
    fn start() -> Option<Self> {
        let cache = variable("XDG_CACHE_HOME").or_else(|| Some(format!("{}/.cache", variable("HOME")?)))?;
        let program = PathBuf::from(cache).join("branchline/s3s-fs-0.14.1/bin/s3s-fs");
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary folder");
        let root = folder.path().join("root");
        std::fs::create_dir_all(root.join("bench")).expect("it can be made");
        let aws = "[default]\ns3 =\n  multipart_threshold = 64MB\n  multipart_chunksize = 64MB\n  max_concurrent_requests = 16\n  \
                   addressing_style = path\n";
        std::fs::write(folder.path().join("aws-config"), aws).expect("it can be written");
        let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).ok()?.port();
        let process = Command::new(program)
            .args(["--host", "127.0.0.1", "--port", &port.to_string(), "--access-key", KEY.0, "--secret-key", KEY.1])
            .arg(&root)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let server = Self { process, address: format!("http://127.0.0.1:{port}"), folder };
        for _ in 0..100 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(server)
    }

    /// Runs a copy to its end, looks that it is there, and makes room.
    fn copied(&self, command: &mut Command, to: &str) {
        let exit = measure::run(command);
        let file = self.folder.path().join("root/bench").join(to);
        assert!(exit == Some(0) && file.exists(), "{command:?} ended with {exit:?}");
        std::fs::remove_file(file).expect("it can be removed");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn session(address: &str) -> Arc<Session> {
    let place = AccountPlace {
        account_id: None,
        region: "us-east-1".to_owned(),
        bucket: "bench".to_owned(),
        prefix: String::new(),
        assume_role_arn: None,
        read_role_arn: None,
        execution_role_arn: None,
        kms_key: None,
    };
    let credentials = SharedCredentialsProvider::new(Credentials::new(KEY.0, KEY.1, None, None, "bench"));
    let (endpoint, patience) = (Some(address.to_owned()), Patience::default());
    Arc::new(
        Session::new(
            place,
            &SessionOptions { endpoint, credentials: Some(credentials), patience, ..SessionOptions::default() },
        )
        .await,
    )
}

async fn fill(server: &Server, key: &str, mebibytes: u64) {
    let path = server.folder.path().join("source");
    let mut file = std::fs::File::create(&path).expect("it can be made");
    let mut state = 1_u64;
    let mut block = vec![0_u8; 1 << 20];
    for _ in 0..mebibytes {
        for word in block.chunks_exact_mut(8) {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            word.copy_from_slice(&state.to_le_bytes());
        }
        file.write_all(&block).expect("there is room");
    }
    drop(file);
    let body = ByteStream::from_path(&path).await.expect("it can be read");
    let session = session(&server.address).await;
    session.s3.put_object().bucket("bench").key(key).body(body).send().await.expect("it can be put");
    std::fs::remove_file(&path).expect("it can be removed");
}

async fn ours(address: &str, from: &str, to: &str) {
    let session = session(address).await;
    let sizes = CopySizes { single_most: 1 << 20, part_least: PART, at_once: AT_ONCE };
    let options = CopyOptions { sizes, ..CopyOptions::default() };
    let came =
        copy_object(&session, &session, &S3Place::new("bench", from), &S3Place::new("bench", to), &options).await;
    // The server keeps no checksum of what is made of parts, and that is said at the very end.
    assert!(matches!(came, Ok(_) | Err(CopyFailure::NoDigest { .. })), "{came:?}");
}

/// The fewest requests that copy it in the same parts, with nothing looked at and nothing compared.
async fn bare(address: &str, from: &str, to: &str) {
    let patience = TimeoutConfig::builder().read_timeout(Duration::from_secs(600)).build();
    let config = session(address).await.s3.config().to_builder().timeout_config(patience);
    let client = aws_sdk_s3::Client::from_conf(
        config.stalled_stream_protection(StalledStreamProtectionConfig::disabled()).build(),
    );
    let head = client.head_object().bucket("bench").key(from).send().await.expect("it is there");
    let size = u64::try_from(head.content_length().unwrap_or_default()).expect("a size");
    let begun = client.create_multipart_upload().bucket("bench").key(to);
    let begun = begun.checksum_algorithm(ChecksumAlgorithm::Crc64Nvme).checksum_type(ChecksumType::FullObject);
    let id = begun.send().await.expect("it can be begun").upload_id().unwrap_or_default().to_owned();
    let mut waiting = (0..size.div_ceil(PART)).map(|index| (index, (index * PART, ((index + 1) * PART).min(size) - 1)));
    let (mut running, mut parts) = (tokio::task::JoinSet::new(), Vec::new());
    loop {
        while running.len() < AT_ONCE
            && let Some((index, (start, last))) = waiting.next()
        {
            let number = i32::try_from(index + 1).expect("not that many");
            let request = client.upload_part_copy().bucket("bench").key(to).upload_id(&id).part_number(number);
            let request =
                request.copy_source(format!("bench/{from}")).copy_source_range(format!("bytes={start}-{last}"));
            running.spawn(async move { (number, request.send().await) });
        }
        let Some(ended) = running.join_next().await else { break };
        let (number, said) = ended.expect("it did not panic");
        let said = said.expect("it can be copied");
        let etag = said.copy_part_result().and_then(|part| part.e_tag()).unwrap_or_default();
        parts.push(CompletedPart::builder().part_number(number).e_tag(etag).build());
    }
    parts.sort_by_key(CompletedPart::part_number);
    let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
    let end = client.complete_multipart_upload().bucket("bench").key(to).upload_id(&id).multipart_upload(parts);
    end.send().await.expect("it can be completed");
}
