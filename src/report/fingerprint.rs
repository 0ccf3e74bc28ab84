//! Identities for people and for scripts: the ids of a model at a commit, and what went into them.

use crate::model::digest::CanonicalFields;
use crate::model::git::CommitSha;
use crate::model::identity::CodeId;
use crate::model::identity::ContentId;
use crate::model::identity::Fingerprint;
use crate::model::name::ModelName;
use crate::model::name::StageName;
use crate::report::json::JSON_SCHEMA;
use crate::report::terminal::plain;
use serde::Serialize;

/// The identities of one model.
pub struct FingerprintView {
    /// The model.
    pub model: ModelName,
    /// The stage whose settings count.
    pub stage: StageName,
    /// The commit.
    pub commit: CommitSha,
    /// The code id.
    pub code_id: CodeId,
    /// The content.
    pub content: ContentId,
    /// The fingerprint; `None` where data could not be identified.
    pub fingerprint: Option<Fingerprint>,
    /// What went into the code id.
    pub code_fields: CanonicalFields,
    /// What went into the fingerprint.
    pub fingerprint_fields: CanonicalFields,
}

/// Renders one line for each id: `code-id <hex>`, `fingerprint <hex>`; with several models, their name after it.
pub fn text(views: &[FingerprintView], explain: bool) -> String {
    let mut text = String::new();
    for view in views {
        let model = if views.len() > 1 { format!(" {}", view.model) } else { String::new() };
        text.push_str(&format!("code-id {}{model}\n", view.code_id));
        if explain {
            push_fields(&mut text, &view.code_fields);
        }
        if let Some(fingerprint) = &view.fingerprint {
            text.push_str(&format!("fingerprint {fingerprint}{model}\n"));
            if explain {
                push_fields(&mut text, &view.fingerprint_fields);
            }
        }
    }
    text
}

fn push_fields(text: &mut String, fields: &CanonicalFields) {
    for (index, (name, value)) in fields.pairs().iter().enumerate() {
        // These belong to the field before them: a path and its mode, a channel and its digest.
        let continues = matches!(name.as_str(), "value" | "pattern" | "digest" | "mode" | "object") && index > 0;
        let border = match (index, continues) {
            (0, _) => "  ",
            (_, true) => ", ",
            (_, false) => "\n  ",
        };
        text.push_str(&format!("{border}{} = {}", plain(name), plain(value)));
    }
    text.push('\n');
}

/// What `fingerprint --format json` prints.
#[derive(Debug, Serialize)]
pub struct FingerprintJson {
    schema: u32,
    models: Vec<ModelJson>,
}

#[derive(Debug, Serialize)]
struct ModelJson {
    model: ModelName,
    stage: StageName,
    commit: String,
    code_id: String,
    content: String,
    fingerprint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code_fields: Option<Vec<FieldJson>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint_fields: Option<Vec<FieldJson>>,
}

#[derive(Debug, Serialize)]
struct FieldJson {
    name: String,
    value: String,
}

impl FingerprintJson {
    /// Builds the shape.
    pub fn of(views: &[FingerprintView], explain: bool) -> Self {
        let fields = |fields: &CanonicalFields| {
            explain.then(|| fields.pairs().into_iter().map(|(name, value)| FieldJson { name, value }).collect())
        };
        let model = |view: &FingerprintView| ModelJson {
            model: view.model.clone(),
            stage: view.stage.clone(),
            commit: view.commit.to_string(),
            code_id: view.code_id.to_string(),
            content: view.content.to_string(),
            fingerprint: view.fingerprint.as_ref().map(ToString::to_string),
            code_fields: fields(&view.code_fields),
            fingerprint_fields: fields(&view.fingerprint_fields),
        };
        Self { schema: JSON_SCHEMA, models: views.iter().map(model).collect() }
    }
}
