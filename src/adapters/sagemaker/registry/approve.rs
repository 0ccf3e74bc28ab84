//! Changes of versions and groups that make no version: approval, taking a version out, freezing.

use crate::adapters::aws::Class;
use crate::adapters::aws::Kind;
use crate::adapters::s3::lease::lost;
use crate::adapters::s3::objects::Created;
use crate::adapters::s3::objects::Replaced;
use crate::adapters::s3::objects::SCHEMA;
use crate::adapters::s3::objects::Stored;
use crate::adapters::sagemaker::registry::desk::Desk;
use crate::adapters::sagemaker::registry::held::Happened;
use crate::adapters::sagemaker::registry::held::Held;
use crate::adapters::sagemaker::registry::listing::Entry;
use crate::adapters::sagemaker::registry::listing::status;
use crate::adapters::sagemaker::registry::record::FreezeMark;
use crate::adapters::sagemaker::registry::record::Intent;
use crate::adapters::sagemaker::registry::record::Record;
use crate::model::approval::Approval;
use crate::model::history::Attribution;
use crate::model::history::Freeze;
use crate::model::history::HistoryAction;
use crate::model::version::Rejection;
use crate::model::version::Version;
use crate::model::version::VersionNumber;
use crate::model::version::VersionRef;
use crate::ports::ApprovalChange;
use crate::ports::Changed;
use crate::ports::PortError;
use crate::ports::PortErrorKind;
use crate::ports::Stale;

/// How often a change is sent whose answer was lost and which did not happen.
const SENDS: usize = 4;

/// Longest description of an approval.
const LONGEST: usize = 1024;

impl Desk {
    /// Changes the approval of a version.
    pub(super) async fn set_approval(&self, change: &ApprovalChange) -> Result<Changed, PortError> {
        let version = VersionRef { group: change.group.clone(), number: change.number };
        let doing = format!("make {version} {}", change.to);
        if let Some(why) = change.refusal() {
            return Err(PortError::because(PortErrorKind::Bug, doing, why));
        }
        let lease = self.lease(&change.by, &doing).await?;
        lease.holding(Box::pin(self.set_approval_held(change, &doing))).await
    }

    async fn set_approval_held(&self, change: &ApprovalChange, doing: &str) -> Result<Changed, PortError> {
        let mut held = Held::read(self, doing).await?;
        Box::pin(held.settle()).await?;
        let Some((entry, version)) = held.version(change.number).await? else {
            let version = VersionRef { group: change.group.clone(), number: change.number };
            return Err(PortError::because(PortErrorKind::NotFound, doing, format!("{version} does not exist"))
                .hint(format!("look up which versions {} has", version.group)));
        };
        // A lost race bans nothing, so that a person's no to the same version is news.
        let ban_is_news = change.to == Approval::Rejected
            && version.rejection == Some(Rejection::Duplicate)
            && change.rejection != Some(Rejection::Duplicate);
        let lifts = change.reinstates && version.superseded;
        if version.approval == change.to && !ban_is_news && !lifts {
            return Ok(Changed::Already);
        }
        if version.approval != change.from || (change.reinstates && !lifts) {
            return Ok(Changed::Stale(Stale::Approval(version.approval)));
        }
        let current = held.current().await?;
        if current != change.expected_current {
            return Ok(Changed::Stale(Stale::Versions { newest: held.view.newest(), current }));
        }
        let at = self.now();
        held.intend(Intent::Approve { change: Box::new(change.clone()), at }).await?;
        if version.approval != change.to {
            let said = self.update_approval(&entry, change.to, &described(change), doing).await?;
            if !said {
                return Ok(Changed::Stale(Stale::Versions { newest: held.view.newest(), current }));
            }
        }
        held.finish_approval(&entry, change, at).await?;
        Ok(Changed::Done)
    }

    /// Has SageMaker change an approval. `false`: the version is gone.
    pub(super) async fn update_approval(
        &self,
        entry: &Entry,
        to: Approval,
        why: &str,
        doing: &str,
    ) -> Result<bool, PortError> {
        let mut last = None;
        for _ in 0..SENDS {
            let send = || {
                self.session
                    .sagemaker
                    .update_model_package()
                    .model_package_arn(&entry.arn)
                    .model_approval_status(status(to))
                    .approval_description(why)
                    .send()
            };
            let refused = match self.session.call(Kind::Change, "sagemaker:UpdateModelPackage", send).await {
                Ok(_) => return Ok(true),
                Err(refused) if refused.class == Class::NotFound => return Ok(false),
                Err(refused) => refused,
            };
            if refused.changed_nothing() && refused.class != Class::Conflict {
                return Err(refused.into_port(doing));
            }
            match self.describe(&entry.arn, doing).await? {
                Some(described) if described.entry.approval == to => return Ok(true),
                Some(_) => last = Some(refused),
                None => return Ok(false),
            }
        }
        match last {
            Some(refused) => Err(refused.into_port(doing)),
            None => Err(lost(doing)),
        }
    }

    /// Takes a version out of the group.
    pub(super) async fn forget(&self, number: VersionNumber, by: &Attribution) -> Result<Changed, PortError> {
        let doing = format!("forget {} {number}", self.group);
        let lease = self.lease(by, &doing).await?;
        lease.holding(Box::pin(self.forget_held(number, by, &doing))).await
    }

    async fn forget_held(&self, number: VersionNumber, by: &Attribution, doing: &str) -> Result<Changed, PortError> {
        let mut held = Held::read(self, doing).await?;
        Box::pin(held.settle()).await?;
        let Some((entry, version)) = held.version(number).await? else { return Ok(Changed::Already) };
        if held.view.frozen().is_some() {
            return Ok(Changed::Stale(Stale::Freeze));
        }
        if version.awaits_approval() || version.is_banned() {
            return Ok(Changed::Stale(Stale::Approval(version.approval)));
        }
        let (newest, current) = (held.view.newest(), held.current().await?);
        if newest == Some(number) || current == Some(number) {
            return Ok(Changed::Stale(Stale::Versions { newest, current }));
        }
        let at = self.now();
        held.intend(Intent::Forget { number, by: by.clone(), at }).await?;
        let send = || self.session.sagemaker.delete_model_package().model_package_name(&entry.arn).send();
        // Once more is the same as once: numbers are not given out again.
        match self.session.call(Kind::Repeatable, "sagemaker:DeleteModelPackage", send).await {
            Ok(_) => {}
            Err(refused) if refused.class == Class::NotFound => {}
            Err(refused) => return Err(refused.into_port(doing)),
        }
        held.finish_forgetting(number, by, at).await?;
        Ok(Changed::Done)
    }

    /// Stops or allows automatic changes.
    pub(super) async fn set_frozen(&self, frozen: bool, by: &Attribution) -> Result<Changed, PortError> {
        let doing = format!("{} the group {}", if frozen { "freeze" } else { "unfreeze" }, self.group);
        let lease = self.lease(by, &doing).await?;
        lease.holding(Box::pin(self.set_frozen_held(frozen, by, &doing))).await
    }

    async fn set_frozen_held(&self, frozen: bool, by: &Attribution, doing: &str) -> Result<Changed, PortError> {
        let mut held = Held::read(self, doing).await?;
        if held.view.frozen().is_some() == frozen && held.book.intent.is_none() {
            return Ok(Changed::Already);
        }
        Box::pin(held.settle()).await?;
        if held.view.frozen().is_some() == frozen {
            return Ok(Changed::Already);
        }
        let at = self.now();
        held.intend(Intent::Freeze { frozen, by: by.clone(), at }).await?;
        let mark = FreezeMark { schema: SCHEMA, frozen: frozen.then(|| Freeze { since: at, by: by.clone() }) };
        let key = self.freeze_key();
        let etag = match &held.view.freeze {
            None => match self.objects.create_json(&key, &mark, doing).await? {
                Created::New(etag) => etag,
                Created::Existing(_) => return Err(lost(doing)),
            },
            Some(stored) => match self.objects.replace_json(&key, &stored.etag, &mark, doing).await? {
                Replaced::Done(etag) => etag,
                Replaced::Moved => return Err(lost(doing)),
            },
        };
        held.view.freeze = Some(Stored { value: mark, etag });
        held.finish_freeze(frozen, by, at).await?;
        Ok(Changed::Done)
    }
}

impl Held<'_> {
    /// Reads a version of the group.
    async fn version(&self, number: VersionNumber) -> Result<Option<(Entry, Version)>, PortError> {
        let Some(entry) = self.desk.find(&self.view, number, self.doing).await? else { return Ok(None) };
        let versions = self.desk.versions(std::slice::from_ref(&entry), Some(&self.book), self.doing).await?;
        Ok(versions.into_iter().next().map(|version| (entry, version)))
    }

    /// Takes note of an approval that SageMaker has accepted.
    pub(super) async fn finish_approval(
        &mut self,
        entry: &Entry,
        change: &ApprovalChange,
        at: jiff::Timestamp,
    ) -> Result<(), PortError> {
        let known: Option<Record> = self.desk.records(&[entry.number], self.doing).await?.into_iter().next().flatten();
        let mut record = match known {
            Some(record) => record,
            None => match self.desk.describe(&entry.arn, self.doing).await? {
                Some(described) => self.desk.recorded(&described, self.doing).await?,
                None => return Ok(()),
            },
        };
        record.becomes(change.to, change.rejection);
        record.superseded &= !change.reinstates;
        self.keep(&record).await?;
        self.view.approve(entry.number, change.to);
        if self.view.entry(entry.number).is_some() {
            self.book.note(entry.number, change.to);
        } else if change.to != Approval::PendingManualApproval {
            self.book.waiting.remove(&entry.number);
        }
        let action = match (change.to, change.rejection) {
            (Approval::Rejected, Some(Rejection::RolledBack)) => HistoryAction::RolledBack,
            (Approval::Rejected, _) => HistoryAction::Rejected,
            (Approval::Approved | Approval::PendingManualApproval, _) => HistoryAction::Approved,
        };
        let happens = |action| Happened { action, number: Some(change.number), by: change.by.clone(), at };
        let happened = match (change.reinstates, change.to == Approval::Approved) {
            (false, _) => vec![happens(action)],
            (true, true) => vec![happens(HistoryAction::Reinstated), happens(action)],
            (true, false) => vec![happens(HistoryAction::Reinstated)],
        };
        self.commit(&happened, at).await
    }

    pub(super) async fn finish_forgetting(
        &mut self,
        number: VersionNumber,
        by: &Attribution,
        at: jiff::Timestamp,
    ) -> Result<(), PortError> {
        self.strike(number).await?;
        self.view.gone.remove(&number);
        self.book.currents.retain(|former| former.number != number);
        let happened = Happened { action: HistoryAction::Pruned, number: Some(number), by: by.clone(), at };
        self.commit(&[happened], at).await
    }

    pub(super) async fn finish_freeze(
        &mut self,
        frozen: bool,
        by: &Attribution,
        at: jiff::Timestamp,
    ) -> Result<(), PortError> {
        let action = if frozen { HistoryAction::Frozen } else { HistoryAction::Unfrozen };
        self.commit(&[Happened { action, number: None, by: by.clone(), at }], at).await
    }
}

/// Says in SageMaker who decided, and why.
fn described(change: &ApprovalChange) -> String {
    let who = change.by.actor.as_deref().unwrap_or("Branchline");
    let word = match (change.to, change.rejection) {
        (Approval::Rejected, Some(Rejection::RolledBack)) => "rolled back",
        (Approval::Rejected, _) => "rejected",
        (Approval::Approved | Approval::PendingManualApproval, _) => "approved",
    };
    let mut text = format!("{word} by {who}");
    if let Some(reason) = &change.by.reason {
        text.push_str(": ");
        text.push_str(reason);
    }
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect()
}
