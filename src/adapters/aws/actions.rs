//! Every action that we send to Amazon, or that one of them needs on the way: who needs it, and on what.
//!
//! `branchline iam` is made of this table alone. A test holds it against the sources, both ways: an action that is
//! sent and not here would be refused, one that is here and not sent would be a right that nothing needs.

/// Who needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Party {
    /// Whoever looks: pull requests, and every other role of ours beside what it does.
    Reader,
    /// A stage that trains.
    Trainer,
    /// A stage that promotes.
    Promoter,
    /// The training job itself.
    Execution,
}

/// On what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum On {
    /// Whatever there is: the service knows nothing narrower.
    Any,
    /// Training jobs of the project.
    Jobs,
    /// Training jobs of the stage.
    OwnJobs,
    /// Every group of the account, and its versions.
    Groups,
    /// The groups that the stage feeds, and their versions.
    OwnGroups,
    /// The bucket.
    Bucket,
    /// The bucket, below our prefix only.
    Listing,
    /// Every object of ours in the bucket.
    Objects,
    /// Objects of the groups that the stage feeds.
    OwnObjects,
    /// What a stage that trains keeps of its training runs: records, sources, data.
    StageObjects,
    /// What the training jobs of the stage wrote, beside their checkpoints.
    RunObjects,
    /// What a training job of the stage writes.
    Output,
    /// Data in buckets of others.
    Data,
    /// The manifests that say which data there are.
    Manifests,
    /// Buckets that hold such data.
    DataBuckets,
    /// Objects of the stages that a promotion takes from.
    Sources,
    /// Their buckets.
    SourceBuckets,
    /// Keys that are read with: the place's own and those of the sources.
    ReadKeys,
    /// The key that is written with.
    WriteKeys,
    /// Keys of the volumes of trainings.
    VolumeKeys,
    /// Images in ECR.
    Images,
    /// The role that trainings run under.
    ExecutionRole,
    /// Logs of training jobs.
    Logs,
}

/// One action.
#[derive(Debug, Clone, Copy)]
pub struct Action {
    /// As a policy names it.
    pub name: &'static str,
    /// Who needs it, and on what.
    pub needs: &'static [(Party, On)],
    /// Whether we send it ourselves. Else another action needs it on the way, or the service does it for us.
    pub sent: bool,
}

const fn sent(name: &'static str, needs: &'static [(Party, On)]) -> Action {
    Action { name, needs, sent: true }
}

const fn implied(name: &'static str, needs: &'static [(Party, On)]) -> Action {
    Action { name, needs, sent: false }
}

use On::*;
use Party::*;

/// The table.
pub const ACTIONS: &[Action] = &[
    // Trainings.
    sent("sagemaker:CreateTrainingJob", &[(Trainer, OwnJobs)]),
    sent("sagemaker:DescribeTrainingJob", &[(Reader, Jobs)]),
    sent("sagemaker:StopTrainingJob", &[(Trainer, OwnJobs)]),
    sent("sagemaker:ListTags", &[(Reader, Jobs), (Reader, Groups)]),
    implied("sagemaker:AddTags", &[(Trainer, OwnJobs), (Trainer, OwnGroups), (Promoter, OwnGroups)]),
    implied("iam:PassRole", &[(Trainer, ExecutionRole)]),
    sent("logs:DescribeLogStreams", &[(Reader, Logs)]),
    sent("logs:GetLogEvents", &[(Reader, Logs)]),
    sent("ecr:DescribeImages", &[(Reader, Images)]),
    // Versions.
    sent("sagemaker:ListModelPackages", &[(Reader, Any)]),
    sent("sagemaker:ListModelPackageGroups", &[(Reader, Any)]),
    sent("sagemaker:DescribeModelPackageGroup", &[(Reader, Groups)]),
    sent("sagemaker:DescribeModelPackage", &[(Reader, Groups)]),
    sent("sagemaker:BatchDescribeModelPackage", &[(Reader, Groups)]),
    sent("sagemaker:CreateModelPackageGroup", &[(Trainer, OwnGroups), (Promoter, OwnGroups)]),
    sent("sagemaker:CreateModelPackage", &[(Trainer, OwnGroups), (Promoter, OwnGroups)]),
    sent("sagemaker:UpdateModelPackage", &[(Trainer, OwnGroups), (Promoter, OwnGroups)]),
    sent("sagemaker:DeleteModelPackage", &[(Trainer, OwnGroups), (Promoter, OwnGroups)]),
    // Objects.
    sent(
        "s3:GetObject",
        &[
            (Reader, Objects),
            (Reader, Manifests),
            (Trainer, Data),
            (Promoter, Sources),
            (Execution, StageObjects),
            (Execution, Output),
            (Execution, Data),
        ],
    ),
    implied("s3:GetObjectVersion", &[(Reader, Objects), (Promoter, Sources)]),
    sent("s3:GetObjectTagging", &[(Reader, Objects), (Promoter, Sources)]),
    sent(
        "s3:ListBucket",
        &[
            (Reader, Listing),
            (Reader, DataBuckets),
            (Trainer, DataBuckets),
            (Promoter, SourceBuckets),
            (Execution, Listing),
            (Execution, DataBuckets),
        ],
    ),
    sent(
        "s3:PutObject",
        &[(Trainer, OwnObjects), (Trainer, StageObjects), (Promoter, OwnObjects), (Execution, Output)],
    ),
    implied("s3:PutObjectTagging", &[(Trainer, OwnObjects), (Trainer, StageObjects), (Promoter, OwnObjects)]),
    sent(
        "s3:DeleteObject",
        &[(Trainer, OwnObjects), (Trainer, StageObjects), (Trainer, RunObjects), (Promoter, OwnObjects)],
    ),
    sent(
        "s3:AbortMultipartUpload",
        &[(Trainer, OwnObjects), (Trainer, StageObjects), (Promoter, OwnObjects), (Execution, Output)],
    ),
    sent("s3:ListBucketMultipartUploads", &[(Trainer, Bucket), (Promoter, Bucket)]),
    sent("s3:GetBucketLocation", &[(Reader, Bucket)]),
    sent("s3:GetBucketVersioning", &[(Reader, Bucket)]),
    sent("s3:GetEncryptionConfiguration", &[(Reader, Bucket)]),
    sent("s3:GetLifecycleConfiguration", &[(Reader, Bucket)]),
    implied("kms:Decrypt", &[(Reader, ReadKeys), (Trainer, WriteKeys), (Promoter, WriteKeys), (Execution, WriteKeys)]),
    implied("kms:GenerateDataKey", &[(Trainer, WriteKeys), (Promoter, WriteKeys), (Execution, WriteKeys)]),
    implied("kms:CreateGrant", &[(Execution, VolumeKeys)]),
    implied("kms:DescribeKey", &[(Execution, VolumeKeys)]),
    // What a training job does by itself.
    implied("ecr:GetAuthorizationToken", &[(Execution, Any)]),
    implied("ecr:BatchGetImage", &[(Execution, Images)]),
    implied("ecr:GetDownloadUrlForLayer", &[(Execution, Images)]),
    implied("ecr:BatchCheckLayerAvailability", &[(Execution, Images)]),
    implied("logs:CreateLogGroup", &[(Execution, Logs)]),
    implied("logs:CreateLogStream", &[(Execution, Logs)]),
    implied("logs:PutLogEvents", &[(Execution, Logs)]),
    implied("cloudwatch:PutMetricData", &[(Execution, Any)]),
];

/// Actions that need no right in a policy of a role: everybody may ask who they are, and a role is assumed by the
/// trust that it has in whoever asks.
pub const FREE: &[&str] = &["sts:GetCallerIdentity", "sts:AssumeRole", "sts:AssumeRoleWithWebIdentity"];

/// What a training job in a private network needs beside.
pub const IN_A_NETWORK: &[&str] = &[
    "ec2:CreateNetworkInterface",
    "ec2:CreateNetworkInterfacePermission",
    "ec2:DeleteNetworkInterface",
    "ec2:DeleteNetworkInterfacePermission",
    "ec2:DescribeDhcpOptions",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
];

#[cfg(test)]
mod tests {
    use super::*;
    use regex::Regex;
    use std::collections::BTreeSet;
    use std::path::Path;

    fn sources(folder: &Path, texts: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                sources(&path, texts);
            } else if path.extension().is_some_and(|ext| ext == "rs") && !path.ends_with("aws/actions.rs") {
                let text = std::fs::read_to_string(&path).expect("a source");
                texts.push(text.split("#[cfg(test)]").next().unwrap_or_default().to_owned());
            }
        }
    }

    #[test]
    fn what_is_sent_is_in_the_table_and_what_is_in_the_table_is_sent() {
        let adapters = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/adapters");
        let mut texts = Vec::new();
        for folder in ["aws", "sagemaker", "s3"] {
            let folder = adapters.join(folder);
            if folder.is_dir() {
                sources(&folder, &mut texts);
            }
        }
        let action = Regex::new(r#""((?:sagemaker|s3|sts|ecr|logs):[A-Z][A-Za-z]+)""#).expect("an expression");
        let found: BTreeSet<&str> = texts
            .iter()
            .flat_map(|text| action.captures_iter(text))
            .filter_map(|captures| captures.get(1).map(|name| name.as_str()))
            .collect();
        let known: BTreeSet<&str> = ACTIONS.iter().map(|action| action.name).chain(FREE.iter().copied()).collect();
        assert_eq!(found.difference(&known).collect::<Vec<_>>(), Vec::<&&str>::new(), "sent, but not in the table");
        // Without the registry, the store and the trainer, the sources say nothing about what is not sent.
        if adapters.join("sagemaker/registry").is_dir() && adapters.join("s3/copy.rs").is_file() {
            let sent: BTreeSet<&str> = ACTIONS.iter().filter(|action| action.sent).map(|action| action.name).collect();
            assert_eq!(sent.difference(&found).collect::<Vec<_>>(), Vec::<&&str>::new(), "in the table, but not sent");
        }
    }

    #[test]
    fn an_action_stands_in_the_table_once_and_somebody_needs_it() {
        let names: BTreeSet<&str> = ACTIONS.iter().map(|action| action.name).collect();
        assert_eq!(names.len(), ACTIONS.len());
        assert!(ACTIONS.iter().all(|action| !action.needs.is_empty() && !action.name.contains('*')));
    }
}
