//! What a description of a training job means. Pure.
//!
//! Amazon's texts beside the states are no interface, and its enumerations grow: what is not known counts as running.

use crate::model::region;
use crate::model::training::Bill;
use aws_sdk_sagemaker::operation::describe_training_job::DescribeTrainingJobOutput;
use aws_sdk_sagemaker::primitives::DateTime;
use aws_sdk_sagemaker::types::SecondaryStatus;
use aws_sdk_sagemaker::types::TrainingJobStatus;

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stand {
    /// It goes on.
    Running,
    /// It was told to stop, and has not yet.
    Stopping,
    /// It trained to its end.
    Completed,
    /// It failed.
    Failed,
    /// It ran longer than it might. Amazon calls that stopped.
    TimedOut,
    /// No spare machine came in time.
    WaitedTooLong,
    /// It was stopped: by us or by somebody else.
    Stopped,
}

impl Stand {
    /// Reads a description.
    pub(super) fn of(job: &DescribeTrainingJobOutput) -> Self {
        match job.training_job_status() {
            Some(TrainingJobStatus::Completed) => Self::Completed,
            Some(TrainingJobStatus::Failed) => Self::Failed,
            Some(TrainingJobStatus::Stopping) => Self::Stopping,
            Some(TrainingJobStatus::Stopped) => match job.secondary_status() {
                Some(SecondaryStatus::MaxRuntimeExceeded) => Self::TimedOut,
                Some(SecondaryStatus::MaxWaitTimeExceeded) => Self::WaitedTooLong,
                _ => Self::Stopped,
            },
            _ => Self::Running,
        }
    }
}

/// Says in a few words what a job is at.
pub(super) fn words(job: &DescribeTrainingJobOutput) -> String {
    let Some(status) = job.secondary_status() else { return "waiting for SageMaker".to_owned() };
    match status {
        SecondaryStatus::Starting => "starting".to_owned(),
        SecondaryStatus::Pending => "waiting for machines".to_owned(),
        SecondaryStatus::LaunchingMlInstances => "launching machines".to_owned(),
        SecondaryStatus::PreparingTrainingStack => "preparing machines".to_owned(),
        SecondaryStatus::DownloadingTrainingImage => "downloading the image".to_owned(),
        SecondaryStatus::Downloading => "downloading data".to_owned(),
        SecondaryStatus::Training => "training".to_owned(),
        SecondaryStatus::Uploading => "uploading the model".to_owned(),
        SecondaryStatus::Interrupted => "interrupted, waiting for a spot machine".to_owned(),
        SecondaryStatus::Restarting => "starting again after an error of SageMaker".to_owned(),
        SecondaryStatus::Updating => "updating machines".to_owned(),
        SecondaryStatus::Stopping => "stopping".to_owned(),
        SecondaryStatus::MaxRuntimeExceeded => "stopped: it ran too long".to_owned(),
        SecondaryStatus::MaxWaitTimeExceeded => "stopped: it waited too long".to_owned(),
        other => plain(other.as_str()),
    }
}

/// `SomethingNew` as `something new`; only letters, for it is foreign text.
fn plain(status: &str) -> String {
    let mut words = String::new();
    for c in status.chars().filter(char::is_ascii_alphabetic).take(60) {
        if c.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(c.to_ascii_lowercase());
    }
    if words.is_empty() { "running".to_owned() } else { words }
}

/// Returns when it began and when it ended, as far as it has.
pub(super) fn times(job: &DescribeTrainingJobOutput) -> (Option<jiff::Timestamp>, Option<jiff::Timestamp>) {
    let began = job.training_start_time().or(job.creation_time()).and_then(timestamp);
    let last = job.training_end_time().or(job.last_modified_time()).and_then(timestamp);
    (began, last)
}

/// Returns when SageMaker created the job.
pub(super) fn created(job: &DescribeTrainingJobOutput) -> Option<jiff::Timestamp> {
    job.creation_time().and_then(timestamp)
}

/// Returns what it is paid for, once Amazon says so.
pub(super) fn bill(job: &DescribeTrainingJobOutput) -> Option<Bill> {
    let machines = job.resource_config()?;
    let trained = u64::try_from(job.training_time_in_seconds()?).ok()?;
    let billable = job.billable_time_in_seconds().and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(trained);
    Some(Bill {
        instance: machines.instance_type()?.as_str().to_owned(),
        count: machines.instance_count().and_then(|count| u32::try_from(count).ok()).unwrap_or(1),
        training_seconds: trained,
        billable_seconds: billable,
    })
}

/// Returns the page of a job in Amazon's console.
pub(super) fn console(region: &str, name: &str) -> String {
    format!("{}/sagemaker/home?region={region}#/jobs/{name}", region::console(region))
}

fn timestamp(time: &DateTime) -> Option<jiff::Timestamp> {
    jiff::Timestamp::new(time.secs(), i32::try_from(time.subsec_nanos()).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(status: &str, secondary: &str) -> DescribeTrainingJobOutput {
        DescribeTrainingJobOutput::builder()
            .training_job_status(TrainingJobStatus::from(status))
            .secondary_status(SecondaryStatus::from(secondary))
            .build()
    }

    #[test]
    fn every_end_has_its_own_meaning() {
        for (status, secondary, stand) in [
            ("InProgress", "Training", Stand::Running),
            ("Completed", "Completed", Stand::Completed),
            ("Failed", "Failed", Stand::Failed),
            ("Stopping", "Stopping", Stand::Stopping),
            ("Stopped", "Stopped", Stand::Stopped),
            ("Stopped", "MaxRuntimeExceeded", Stand::TimedOut),
            ("Stopped", "MaxWaitTimeExceeded", Stand::WaitedTooLong),
            ("Stopped", "SomethingNew", Stand::Stopped),
            ("SomethingNew", "SomethingNew", Stand::Running),
        ] {
            assert_eq!(Stand::of(&job(status, secondary)), stand, "{status} {secondary}");
        }
    }

    #[test]
    fn what_it_is_at_is_said_in_words() {
        assert_eq!(words(&job("InProgress", "LaunchingMLInstances")), "launching machines");
        assert_eq!(words(&job("InProgress", "WarmingUp\u{1b}[2J")), "warming up j");
        assert_eq!(words(&job("InProgress", "\n")), "running");
    }

    #[test]
    fn the_console_differs_by_partition() {
        assert_eq!(
            console("eu-west-1", "churn-dev-0123456789ab-1"),
            "https://eu-west-1.console.aws.amazon.com/sagemaker/home?region=eu-west-1#/jobs/churn-dev-0123456789ab-1"
        );
        assert!(console("cn-north-1", "x").contains("console.amazonaws.cn"));
    }
}
