//! Stories about data that go up from this machine: large files in parts, compared, once.

use super::Lab;
use super::add_data;
use super::s3;
use super::spec;
use crate::world::aws::DEV_BUCKET;
use crate::world::aws::Fault;
use crate::world::aws::Script;
use branchline::adapters::s3::CopySizes;
use branchline::adapters::sagemaker::SageMakerTrainer;
use branchline::model::dataset::Dataset;
use branchline::model::dataset::DatasetKind;
use branchline::ports::Trainer as _;
use branchline::ports::TrainingSpec;
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

/// Everything above a mebibyte goes in parts.
const PARTS: CopySizes = CopySizes { single_most: 1 << 20, part_least: 5 << 20, at_once: 2 };

fn content() -> Vec<u8> {
    (0..(11 << 20) + 3).map(|at: usize| (at / 3) as u8).collect()
}

/// A folder with an empty file, a small one and one of three parts.
async fn with_folder(lab: &Lab) -> TrainingSpec {
    fs::create_dir(lab.path().join("raw")).expect("it can be made");
    fs::write(lab.path().join("raw/empty.csv"), "").expect("it can be written");
    fs::write(lab.path().join("raw/small.csv"), "1\n").expect("it can be written");
    fs::write(lab.path().join("raw/large.csv"), content()).expect("it can be written");
    lab.with_data(spec("train"), "raw", s3("raw")).await
}

async fn trainer(lab: &Lab) -> SageMakerTrainer {
    lab.trainer().await.with_sizes(PARTS)
}

fn data(lab: &Lab) -> Vec<String> {
    let prefix = "branchline/churn/stages/dev/data/";
    let keys = lab.aws.keys(DEV_BUCKET, prefix).into_iter();
    keys.filter_map(|key| key.rsplit('/').next().map(str::to_owned)).filter(|name| name.ends_with(".csv")).collect()
}

fn open_uploads(lab: &Lab) -> usize {
    lab.aws.with(|state| state.buckets[DEV_BUCKET].uploads.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_goes_up_in_parts_whatever_befalls_them() {
    let faults = [
        ("nothing", None),
        ("UploadPart", Some(Fault::Dropped)),
        ("UploadPart", Some(Fault::LostAnswer)),
        ("CompleteMultipartUpload", Some(Fault::LostAnswer)),
        ("CompleteMultipartUpload", Some(Fault::conflict())),
        ("PutObject", Some(Fault::LostAnswer)),
    ];
    for (operation, fault) in faults {
        let lab = Lab::new();
        lab.aws.jobs_go(|_| Some(Script::forever()));
        let spec = with_folder(&lab).await;
        if let Some(fault) = fault {
            lab.aws.fail_next(operation, fault);
        }
        let started = trainer(&lab).await.start(&spec).await;
        started.unwrap_or_else(|error| panic!("{operation}: {}", error.chain()));
        assert_eq!(data(&lab), ["empty.csv", "large.csv", "small.csv"], "{operation}");
        let large = lab
            .aws
            .keys(DEV_BUCKET, "branchline/churn/stages/dev/data/")
            .into_iter()
            .find(|key| key.ends_with("large.csv"));
        let large = lab.aws.object(DEV_BUCKET, &large.expect("it is there")).expect("it is there");
        assert!(large == content(), "{operation}");
        assert_eq!((open_uploads(&lab), lab.aws.faults_left()), (0, 0), "{operation}");
        assert!(lab.aws.count("UploadPart") >= 3, "{operation}");
        assert_eq!(lab.aws.violations(), Vec::<String>::new(), "{operation}");
        // The next training of the same data sends none of them.
        lab.aws.reset_requests();
        let next = TrainingSpec { settings: spec.settings.clone(), origin: spec.origin.clone(), ..super::spec("next") };
        trainer(&lab).await.start(&next).await.expect("it starts");
        assert_eq!(lab.aws.count("UploadPart") + lab.aws.count("CreateMultipartUpload"), 0, "{operation}");
    }
}

/// The copy of the file that is being sent.
fn sent_copy(home: PathBuf) -> Option<PathBuf> {
    let found = walkdir::WalkDir::new(home.join("tmp")).into_iter().flatten();
    found.map(walkdir::DirEntry::into_path).find(|path| path.ends_with("moving.csv"))
}

fn stated() -> Dataset {
    Dataset { uri: "moving.csv".to_owned(), kind: DatasetKind::Stated, digest: "version:7".to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_change_while_they_are_sent_are_not_kept() {
    for (operation, size, sizes) in
        [("CreateMultipartUpload", content().len(), PARTS), ("HeadObject", 2 << 20, CopySizes::default())]
    {
        for shorter in [false, true] {
            let lab = Lab::new();
            fs::write(lab.path().join("moving.csv"), vec![b'1'; size]).expect("it can be written");
            let mut spec = spec("train");
            add_data(&mut spec, "raw", s3("moving.csv"), stated());
            let home = lab.path().join(".branchline");
            let change = move |_: &mut crate::world::aws::State| {
                let file = sent_copy(home).expect("it lies there while it is sent");
                let file = fs::File::options().write(true).open(file).expect("it can be opened");
                if shorter {
                    file.set_len(7).expect("it can be cut");
                } else {
                    file.write_all_at(b"2", 1 << 20).expect("it can be written");
                }
            };
            lab.aws.fail_next(operation, Fault::Meanwhile(Box::new(change)));
            let failed = lab.trainer().await.with_sizes(sizes).start(&spec).await.expect_err("it changed");
            let said = failed.chain();
            assert!(said.contains("moving.csv changed while it was sent"), "{operation} {shorter}: {said}");
            assert_eq!(data(&lab), Vec::<String>::new(), "{operation} {shorter}");
            assert_eq!((open_uploads(&lab), lab.jobs()), (0, 0), "{operation} {shorter}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_there_under_the_same_name_is_compared() {
    let lab = Lab::new();
    fs::write(lab.path().join("moving.csv"), "1\n").expect("it can be written");
    let mut spec = spec("train");
    add_data(&mut spec, "raw", s3("moving.csv"), stated());
    lab.aws.crash_at(3, crate::world::aws::Crash::After);
    let dying = lab.trainer().await;
    tokio::select! {
        _ = dying.start(&spec) => panic!("it did not die"),
        () = lab.aws.crashed() => {}
    }
    assert_eq!(data(&lab), ["moving.csv"], "it died after the first file");
    // Somebody writes other data under the version that was stated.
    fs::write(lab.path().join("moving.csv"), "2\n").expect("it can be written");
    let failed = lab.trainer().await.start(&spec).await.expect_err("it is something else");
    assert!(failed.chain().contains("holds something else"), "{}", failed.chain());
    fs::write(lab.path().join("moving.csv"), "1\n").expect("it can be written");
    lab.trainer().await.start(&spec).await.expect("it is what was sent before");
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_somebody_took_away_go_up_again() {
    let lab = Lab::new();
    lab.aws.jobs_go(|_| Some(Script::forever()));
    let spec = with_folder(&lab).await;
    trainer(&lab).await.start(&spec).await.expect("it starts");
    lab.aws.with(|state| {
        let bucket = state.buckets.get_mut(DEV_BUCKET).expect("a bucket");
        bucket.objects.retain(|key, _| !key.ends_with("/small.csv") && !key.ends_with("/source.tar.gz"));
    });
    let next = TrainingSpec { settings: spec.settings.clone(), origin: spec.origin.clone(), ..super::spec("next") };
    lab.aws.reset_requests();
    trainer(&lab).await.start(&next).await.expect("it starts");
    assert_eq!(data(&lab), ["empty.csv", "large.csv", "small.csv"]);
    assert_eq!(lab.aws.keys(DEV_BUCKET, "branchline/churn/stages/dev/sources/").len(), 2);
    assert_eq!(lab.aws.count("UploadPart"), 0, "what is there is compared");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_no_bucket_takes_is_refused_before_it_is_read() {
    let lab = Lab::new();
    let sparse = fs::File::create(lab.path().join("moving.csv")).expect("it can be made");
    if sparse.set_len((5 << 40) + 1).is_err() {
        // This file system has no such large files.
        return;
    }
    let session = lab.session().await;
    let to = branchline::adapters::s3::S3Place::new(DEV_BUCKET, "large");
    let came = branchline::adapters::s3::upload_file(&session, &lab.path().join("moving.csv"), &to, PARTS).await;
    let failed = came.expect_err("it is too large").into_port("upload moving.csv");
    assert!(failed.chain().contains("at most 5 TiB"), "{}", failed.chain());
    assert!(failed.hint.is_some_and(|hint| hint.contains("Split it")));
    assert_eq!(lab.aws.requests().len(), 0);
}
