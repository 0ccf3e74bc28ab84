//! What SageMaker says of versions: the listing of a group, and single versions described.
//!
//! The truth about approval and about which versions exist. A listing may lag a little behind, a description does not.
//! Words that we do not know are no error: an unknown approval is none.

use crate::adapters::aws::Class;
use crate::adapters::aws::Kind;
use crate::adapters::aws::Refused;
use crate::adapters::sagemaker::registry::desk::Desk;
use crate::adapters::sagemaker::registry::memory::Which;
use crate::model::approval::Approval;
use crate::model::version::VersionNumber;
use crate::ports::PortError;
use aws_sdk_sagemaker::operation::describe_model_package::DescribeModelPackageOutput;
use aws_sdk_sagemaker::primitives::DateTime;
use aws_sdk_sagemaker::types::IncludedData;
use aws_sdk_sagemaker::types::InferenceSpecification;
use aws_sdk_sagemaker::types::ModelApprovalStatus;
use aws_sdk_sagemaker::types::ModelPackageSortBy;
use aws_sdk_sagemaker::types::ModelPackageStatus;
use aws_sdk_sagemaker::types::SortOrder;
use aws_sdk_sagemaker::types::UserContext;
use std::collections::BTreeMap;
use std::collections::HashMap;

/// How many versions one listing has at most.
pub(super) const PAGE: i32 = 100;

/// How many approved versions are listed where the newest listing has none: the newest of them is the current one.
const APPROVED: i32 = 10;

/// How far making a version has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// SageMaker is still at it.
    Making,
    /// It is there.
    Made,
    /// It came to nothing, or is being removed.
    Failed,
}

/// A version as SageMaker lists it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) number: VersionNumber,
    pub(super) arn: String,
    pub(super) approval: Approval,
    pub(super) progress: Progress,
    pub(super) created: jiff::Timestamp,
}

impl Entry {
    /// Tells whether it stands as approved.
    pub(super) fn is_approved(&self) -> bool {
        self.approval == Approval::Approved && self.progress != Progress::Failed
    }
}

/// A version as SageMaker describes it.
#[derive(Debug, Clone)]
pub(super) struct Described {
    pub(super) entry: Entry,
    pub(super) properties: HashMap<String, String>,
    /// The commit that whoever made it named.
    pub(super) commit: Option<String>,
    /// Why it failed, or why its approval is what it is.
    pub(super) said: Option<String>,
    pub(super) created_by: Option<String>,
    pub(super) modified_by: Option<String>,
    pub(super) modified: Option<jiff::Timestamp>,
    /// The address of its model.
    pub(super) model: Option<String>,
    pub(super) image: Option<String>,
}

/// One page of a listing, the highest number first.
#[derive(Debug, Clone, Default)]
pub(super) struct Page {
    pub(super) entries: Vec<Entry>,
    pub(super) next: Option<String>,
}

impl Desk {
    /// Lists the newest versions. `None`: there is no such group.
    pub(super) async fn newest_page(&self, doing: &str) -> Result<Option<Page>, PortError> {
        self.first_page(Which::Newest, None, PAGE, doing).await
    }

    /// Lists the newest approved versions. `None`: there is no such group.
    pub(super) async fn approved_page(&self, doing: &str) -> Result<Option<Page>, PortError> {
        self.first_page(Which::Approved, Some(ModelApprovalStatus::Approved), APPROVED, doing).await
    }

    async fn first_page(
        &self,
        which: Which,
        approval: Option<ModelApprovalStatus>,
        most: i32,
        doing: &str,
    ) -> Result<Option<Page>, PortError> {
        if let Some(heard) = self.recalled().and_then(|memory| memory.page(&self.group, which)) {
            return Ok(heard);
        }
        let page = self.page(None, approval, most, doing).await?;
        if let Some(memory) = self.recalled() {
            memory.keep_page(&self.group, which, page.as_ref());
        }
        Ok(page)
    }

    /// Lists a page of versions, the newest first. `None`: there is no such group.
    pub(super) async fn page(
        &self,
        token: Option<String>,
        approval: Option<ModelApprovalStatus>,
        most: i32,
        doing: &str,
    ) -> Result<Option<Page>, PortError> {
        let send = || {
            self.session
                .sagemaker
                .list_model_packages()
                .model_package_group_name(self.group.as_str())
                .sort_by(ModelPackageSortBy::CreationTime)
                .sort_order(SortOrder::Descending)
                .max_results(most)
                .set_model_approval_status(approval.clone())
                .set_next_token(token.clone())
                .send()
        };
        let answer = match self.session.call(Kind::List, "sagemaker:ListModelPackages", send).await {
            Ok(answer) => answer,
            Err(refused) if refused.class == Class::NotFound => return Ok(None),
            Err(refused) => return Err(refused.into_port(doing)),
        };
        let next = answer.next_token().map(str::to_owned);
        let read = |summary: &aws_sdk_sagemaker::types::ModelPackageSummary| {
            Some(Entry {
                number: number(summary.model_package_version(), summary.model_package_arn()?)?,
                arn: summary.model_package_arn()?.to_owned(),
                approval: approved(summary.model_approval_status()),
                progress: progress(summary.model_package_status()),
                created: time(summary.creation_time())?,
            })
        };
        let mut entries: Vec<Entry> = answer.model_package_summary_list().iter().filter_map(read).collect();
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.number));
        entries.dedup_by_key(|entry| entry.number);
        Ok(Some(Page { entries, next }))
    }

    /// Describes a version. `None`: it does not exist.
    pub(super) async fn describe(&self, arn: &str, doing: &str) -> Result<Option<Described>, PortError> {
        if let Some(heard) = self.recalled().and_then(|memory| memory.described(&self.group, arn)) {
            return Ok(Some(heard));
        }
        let described = self.describe_again(arn).await.map_err(|refused| refused.into_port(doing))?;
        if let (Some(memory), Some(described)) = (self.recalled(), &described) {
            memory.keep_described(&self.group, arn, described);
        }
        Ok(described)
    }

    /// Reads how a version is served. `None`: it does not say, or does not exist.
    pub(super) async fn inference_of(
        &self,
        arn: &str,
        doing: &str,
    ) -> Result<Option<InferenceSpecification>, PortError> {
        let send = || self.session.sagemaker.describe_model_package().model_package_name(arn).send();
        match self.session.call(Kind::Read, "sagemaker:DescribeModelPackage", send).await {
            Ok(answer) => Ok(answer.inference_specification().cloned()),
            Err(refused) if refused.class == Class::NotFound => Ok(None),
            Err(refused) => Err(refused.into_port(doing)),
        }
    }

    pub(super) async fn describe_again(&self, arn: &str) -> Result<Option<Described>, Refused> {
        let send = || {
            self.session
                .sagemaker
                .describe_model_package()
                .model_package_name(arn)
                // Without the model card, which may be under a key that we may not use.
                .included_data(IncludedData::MetadataOnly)
                .send()
        };
        match self.session.call(Kind::Read, "sagemaker:DescribeModelPackage", send).await {
            Ok(answer) => Ok(read_description(arn, &answer)),
            Err(refused) if refused.class == Class::NotFound => Ok(None),
            Err(refused) => Err(refused),
        }
    }

    /// Describes many versions at once, as far as they exist.
    pub(super) async fn describe_many(
        &self,
        arns: &BTreeMap<VersionNumber, String>,
        doing: &str,
    ) -> Result<Vec<Entry>, PortError> {
        let mut entries = Vec::new();
        let mut unheard: Vec<(&VersionNumber, &String)> = Vec::with_capacity(arns.len());
        for (number, arn) in arns {
            match self.recalled().and_then(|memory| memory.entry(&self.group, arn)) {
                Some(entry) => entries.push(entry),
                None => unheard.push((number, arn)),
            }
        }
        for some in unheard.chunks(100) {
            let send = || {
                let list = some.iter().map(|(_, arn)| (*arn).clone()).collect();
                self.session.sagemaker.batch_describe_model_package().set_model_package_arn_list(Some(list)).send()
            };
            let answer = self.session.call(Kind::Read, "sagemaker:BatchDescribeModelPackage", send).await;
            let answer = answer.map_err(|refused| refused.into_port(doing))?;
            let Some(found) = answer.model_package_summaries() else { continue };
            for (number, arn) in some {
                let Some(summary) = found.get(arn.as_str()) else { continue };
                let entry = Entry {
                    number: **number,
                    arn: (*arn).clone(),
                    approval: approved(summary.model_approval_status()),
                    progress: progress(summary.model_package_status()),
                    created: time(summary.creation_time()).unwrap_or_default(),
                };
                if let Some(memory) = self.recalled() {
                    memory.keep_entry(&self.group, &entry);
                }
                entries.push(entry);
            }
        }
        Ok(entries)
    }
}

fn read_description(arn: &str, said: &DescribeModelPackageOutput) -> Option<Described> {
    let arn = said.model_package_arn().unwrap_or(arn);
    let container = said.inference_specification().and_then(|spec| spec.containers().first());
    let failure = said.model_package_status_details().and_then(|details| {
        details.validation_statuses().iter().chain(details.image_scan_statuses()).find_map(|item| item.failure_reason())
    });
    Some(Described {
        entry: Entry {
            number: number(said.model_package_version(), arn)?,
            arn: arn.to_owned(),
            approval: approved(said.model_approval_status()),
            progress: progress(said.model_package_status()),
            created: time(said.creation_time())?,
        },
        properties: said.customer_metadata_properties().cloned().unwrap_or_default(),
        commit: said.metadata_properties().and_then(|properties| properties.commit_id()).map(str::to_owned),
        said: failure.or(said.approval_description()).map(str::to_owned),
        created_by: said.created_by().and_then(person),
        modified_by: said.last_modified_by().and_then(person),
        modified: time(said.last_modified_time()),
        model: container
            .and_then(|container| {
                let source = container.model_data_source().and_then(|source| source.s3_data_source());
                container.model_data_url().or_else(|| source.and_then(|source| source.s3_uri()))
            })
            .map(str::to_owned),
        image: container.and_then(|container| container.image()).map(str::to_owned),
    })
}

/// Names whoever did something: the profile in Studio, else the last part of the role session.
fn person(context: &UserContext) -> Option<String> {
    if let Some(name) = context.user_profile_name() {
        return Some(name.to_owned());
    }
    let identity = context.iam_identity()?;
    let name = identity.source_identity().or_else(|| identity.arn().and_then(|arn| arn.rsplit('/').next()));
    name.map(str::to_owned)
}

fn number(said: Option<i32>, arn: &str) -> Option<VersionNumber> {
    if let Some(number) = said.and_then(|number| u32::try_from(number).ok()) {
        return Some(VersionNumber(number));
    }
    arn.rsplit('/').next()?.parse().ok().map(VersionNumber)
}

/// What we have no word for approves nothing.
fn approved(status: Option<&ModelApprovalStatus>) -> Approval {
    status.and_then(|status| Approval::parse(status.as_str())).unwrap_or(Approval::PendingManualApproval)
}

fn progress(status: Option<&ModelPackageStatus>) -> Progress {
    match status {
        Some(ModelPackageStatus::Failed | ModelPackageStatus::Deleting) => Progress::Failed,
        Some(ModelPackageStatus::Pending | ModelPackageStatus::InProgress) => Progress::Making,
        _ => Progress::Made,
    }
}

fn time(at: Option<&DateTime>) -> Option<jiff::Timestamp> {
    let at = at?;
    let time = jiff::Timestamp::new(at.secs(), i32::try_from(at.subsec_nanos()).unwrap_or(0)).ok()?;
    jiff::Timestamp::from_microsecond(time.as_microsecond()).ok()
}

/// Returns SageMaker's word.
pub(super) fn status(approval: Approval) -> ModelApprovalStatus {
    match approval {
        Approval::PendingManualApproval => ModelApprovalStatus::PendingManualApproval,
        Approval::Approved => ModelApprovalStatus::Approved,
        Approval::Rejected => ModelApprovalStatus::Rejected,
    }
}
