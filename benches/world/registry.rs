//! Registries of any length: the first version of each group is registered as ever, the rest is copied in bulk.

use branchline::adapters::local::registry::LocalRegistry;
use branchline::adapters::system::SystemClock;
use branchline::model::approval::Approval;
use branchline::model::git::RepositoryId;
use branchline::model::history::Attribution;
use branchline::model::history::HistoryAction;
use branchline::model::name::GroupName;
use branchline::model::name::ModelName;
use branchline::model::name::ProjectName;
use branchline::model::name::TargetName;
use branchline::model::version::VersionContent;
use branchline::ports::Expected;
use branchline::ports::Registration;
use branchline::ports::Registry as _;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

/// Fills a registry: `versions` in the `dev` group of each of the models.
pub fn fill(database: &Path, models: impl IntoIterator<Item = String>, versions: usize) {
    let registry = LocalRegistry::at(database, Arc::new(SystemClock));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    for model in models {
        runtime.block_on(registry.register(&first(&model))).expect("the first version can be registered");
    }
    drop(registry);
    let connection = rusqlite::Connection::open(database).expect("the registry can be opened");
    connection.execute_batch("PRAGMA synchronous = OFF; BEGIN").expect("a transaction");
    let number = i64::try_from(versions).expect("a small number");
    connection.execute(COPY_VERSIONS, [number]).expect("versions can be copied");
    connection.execute(COPY_HISTORY, [number]).expect("history can be copied");
    connection.execute_batch("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)").expect("it can be stored");
}

const COPY_VERSIONS: &str = "
    WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
    INSERT INTO versions (group_id, number, semver, semver_key, fingerprint, code_id, content_id, approval, rejection,
        superseded, once_approved, became_current, registered_at, operation_key, content)
    SELECT group_id, i, '0.' || i || '.0', printf('%020d.%020d.%020d~', 0, i, 0), lower(hex(randomblob(32))),
        lower(hex(randomblob(32))), lower(hex(randomblob(32))), approval, NULL, 0, 1, became_current,
        registered_at + i, lower(hex(randomblob(32))), json_set(content, '$.content.semver', '0.' || i || '.0')
    FROM versions, n WHERE ?1 > 1";

const COPY_HISTORY: &str = "
    WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
    INSERT INTO history (group_id, at, action, number, current, by)
    SELECT group_id, at + i, action, i, i, by FROM history, n WHERE ?1 > 1";

fn first(model: &str) -> Registration {
    let project = ProjectName::parse("bench").expect("a project");
    let model = ModelName::parse(model).expect("a model");
    let dev = TargetName::parse("dev").expect("a target");
    Registration {
        group: GroupName::derive(&project, &model, &dev),
        repository: RepositoryId { remote: Some("github.com/acme/bench".to_owned()), ..RepositoryId::default() },
        expected: Expected { newest: None, current: None, frozen: false },
        content: content(model),
        approval: Approval::Approved,
        superseded: false,
        supersedes_older: false,
        action: HistoryAction::Registered,
        by: Attribution { event: "push".to_owned(), ..Attribution::default() },
    }
}

fn content(model: ModelName) -> VersionContent {
    let text = include_str!("../../fixtures/registry/version-1.json");
    let mut stored: Value = serde_json::from_str(text).expect("the fixture is JSON");
    for value in stored["content"]["metrics"].as_object_mut().expect("metrics").values_mut() {
        *value = value.as_str().and_then(|text| text.parse::<f64>().ok()).expect("a number").into();
    }
    let content: VersionContent = serde_json::from_value(stored["content"].take()).expect("a version");
    VersionContent { model, source: None, ..content }
}
