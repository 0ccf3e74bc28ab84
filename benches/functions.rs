//! Functions that a run spends its time in, measured by criterion: reading the configuration, identity, the
//! registry's look, packing.
//!
//! `cargo bench --bench functions`. Deliberately absent: goals. Those are for whole processes, in `commands`.

#[path = "world/model_folder.rs"]
mod model_folder;
#[path = "world/registry.rs"]
mod registry;
#[path = "world/repository.rs"]
mod repository;

use crate::repository::Shape;
use crate::repository::Watches;
use branchline::adapters::git::GitRepository;
use branchline::adapters::local::pack::pack_directory;
use branchline::adapters::local::registry::LocalRegistry;
use branchline::adapters::system::SystemClock;
use branchline::config::SourceText;
use branchline::facts::group::GroupLook;
use branchline::model::name::GroupName;
use branchline::model::settings::Watched;
use branchline::ports::Registry as _;
use criterion::BatchSize;
use criterion::Criterion;
use criterion::Throughput;
use criterion::criterion_group;
use criterion::criterion_main;
use std::hint::black_box;
use std::sync::Arc;

fn shape(models: usize, files: usize, watches: Watches) -> Shape {
    Shape { models, files, commits: 1, watches, command: "echo model > $SM_MODEL_DIR/model".to_owned(), parallel: 2 }
}

fn configuration(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("configuration");
    for models in [10, 100, 1_000] {
        let text = SourceText::new("branchline.yaml", shape(models, models, Watches::OwnFolder).configuration());
        group.throughput(Throughput::Elements(models as u64));
        group.bench_function(format!("{models} models"), |bencher| {
            bencher.iter(|| branchline::config::load(black_box(&text), black_box(&text)).expect("it is valid"));
        });
    }
}

fn watched(criterion: &mut Criterion) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary folder");
    shape(1, 10_000, Watches::Everything).make(folder.path());
    let git = GitRepository::discover(folder.path()).expect("a repository");
    let head = git.resolve_commit("HEAD").expect("a commit");
    let mut group = criterion.benchmark_group("watched entries of 10,000 files");
    for paths in ["src", "src/**/*.py", "src/d0007/*.py"] {
        let paths = Watched::Paths(vec![paths.to_owned()]);
        group.bench_function(format!("{paths:?}"), |bencher| {
            bencher.iter(|| git.watched_entries(black_box(&head), black_box(&paths)).expect("they are there"));
        });
    }
}

fn look(criterion: &mut Criterion) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary folder");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut group = criterion.benchmark_group("a look at a group");
    for versions in [100, 10_000] {
        let database = folder.path().join(format!("{versions}.db"));
        registry::fill(&database, [Shape::model(0)], versions);
        let registry = LocalRegistry::at(&database, Arc::new(SystemClock));
        let name = GroupName::parse("bench-m0000-dev").expect("a group");
        group.bench_function(format!("{versions} versions"), |bencher| {
            bencher.iter(|| runtime.block_on(registry.look(&name, &GroupLook::default())).expect("it can be read"));
        });
    }
}

fn packing(criterion: &mut Criterion) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary folder");
    let (model, archive) = (folder.path().join("model"), folder.path().join("model.tar.gz"));
    model_folder::make(&model, 16 << 20);
    let mut group = criterion.benchmark_group("packing");
    group.throughput(Throughput::Bytes(16 << 20)).sample_size(10);
    group.bench_function("16 MiB", |bencher| {
        bencher.iter_batched(
            || (),
            |()| pack_directory(&model, &archive, &mut |_, _| {}).expect("it can be packed"),
            BatchSize::PerIteration,
        );
    });
}

criterion_group!(functions, configuration, watched, look, packing);
criterion_main!(functions);
