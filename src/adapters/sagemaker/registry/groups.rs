//! Model package groups: made where they are missing, taken as they are where they are not, and listed.

use crate::adapters::aws::Class;
use crate::adapters::aws::Kind;
use crate::adapters::aws::Session;
use crate::adapters::sagemaker::registry::desk::Desk;
use crate::adapters::sagemaker::registry::metadata::encode_value;
use crate::model::git::RepositoryId;
use crate::model::name::GroupName;
use crate::ports::PortError;
use aws_sdk_sagemaker::types::Tag;

/// How often a creation is sent whose answer was lost and of which nothing is found.
const SENDS: usize = 4;

impl Desk {
    /// Makes the group, or finds it there. One that others made is taken as it is.
    pub(super) async fn ensure_group(&self, repository: Option<&RepositoryId>, doing: &str) -> Result<(), PortError> {
        let mut tags = Vec::new();
        let values = [
            ("branchline:project", Some(self.project.to_string())),
            ("branchline:repository", repository.map(ToString::to_string)),
        ];
        for (key, value) in values {
            let Some(value) = value.and_then(|value| encode_value(&value)) else { continue };
            tags.push(Tag::builder().key(key).value(value).build());
        }
        let mut last = None;
        for _ in 0..SENDS {
            let send = || {
                self.session
                    .sagemaker
                    .create_model_package_group()
                    .model_package_group_name(self.group.as_str())
                    .set_tags(Some(tags.clone()))
                    .send()
            };
            let refused = match self.session.call(Kind::Create, "sagemaker:CreateModelPackageGroup", send).await {
                Ok(_) => return Ok(()),
                Err(refused) if refused.class == Class::Exists => return Ok(()),
                Err(refused) => refused,
            };
            if refused.changed_nothing() && refused.class != Class::Conflict {
                return Err(refused.into_port(doing));
            }
            if self.group_exists(doing).await? {
                return Ok(());
            }
            last = Some(refused);
        }
        match last {
            Some(refused) => Err(refused.into_port(doing)),
            None => Ok(()),
        }
    }

    async fn group_exists(&self, doing: &str) -> Result<bool, PortError> {
        let send = || {
            self.session.sagemaker.describe_model_package_group().model_package_group_name(self.group.as_str()).send()
        };
        match self.session.call(Kind::Read, "sagemaker:DescribeModelPackageGroup", send).await {
            Ok(_) => Ok(true),
            Err(refused) if refused.class == Class::NotFound => Ok(false),
            Err(refused) => Err(refused.into_port(doing)),
        }
    }
}

/// Lists every model package group of an account.
pub(super) async fn groups_of(session: &Session, doing: &str) -> Result<Vec<GroupName>, PortError> {
    let mut names = Vec::new();
    let mut next: Option<String> = None;
    loop {
        let send =
            || session.sagemaker.list_model_package_groups().max_results(100).set_next_token(next.clone()).send();
        let answer = session.call(Kind::List, "sagemaker:ListModelPackageGroups", send).await;
        let answer = answer.map_err(|refused| refused.into_port(doing))?;
        let found = answer.model_package_group_summary_list().iter();
        names.extend(found.filter_map(|group| GroupName::parse(group.model_package_group_name()?).ok()));
        next = answer.next_token().map(str::to_owned);
        if next.is_none() {
            return Ok(names);
        }
    }
}
