//! Following one training: looked at less and less often while nothing changes, however often somebody asks.

use crate::adapters::sagemaker::logs;
use crate::adapters::sagemaker::logs::LogPlace;
use crate::adapters::sagemaker::look::Ending;
use crate::adapters::sagemaker::look::Inner;
use crate::adapters::sagemaker::look::Known;
use crate::adapters::sagemaker::look::Look;
use crate::adapters::system::Stopwatch;
use crate::model::name::TrainingName;
use crate::ports::PortError;
use crate::ports::trainer::WatchedTraining;
use std::time::Duration;

/// Where watching stands.
#[derive(Clone)]
pub(super) struct Followed {
    pub(super) log: LogPlace,
    pub(super) last: Look,
    pub(super) since: Stopwatch,
    pub(super) pause: Duration,
}

impl Inner {
    /// Reads the new lines of a log. One that cannot be read holds nothing up.
    pub(super) async fn new_lines(&self, known: &Known, place: &mut LogPlace) -> Vec<String> {
        logs::since(&known.session, &known.spec.name, place).await.unwrap_or_default()
    }

    pub(super) async fn watch(
        &self,
        name: &TrainingName,
        cursor: u64,
        patience: Duration,
    ) -> Result<Option<WatchedTraining>, PortError> {
        let Some(known) = self.known(name).await? else { return Ok(None) };
        let waiting = Stopwatch::start();
        let pace = self.setting.pace;
        let followed = self.followed.lock().await.remove(name);
        let mut followed = followed.filter(|followed| cursor > 0 || followed.log.lines == 0);
        loop {
            if let Some(at) = &followed {
                let due = at.pause.saturating_sub(at.since.elapsed());
                let left = patience.saturating_sub(waiting.elapsed());
                tokio::time::sleep(due.min(left)).await;
                if due > left {
                    let seen = watched(at, Vec::new());
                    self.followed.lock().await.extend(followed.map(|at| (name.clone(), at)));
                    return Ok(Some(seen));
                }
            }
            let look = self.look(&known, Ending::Needed).await?;
            let (mut log, pause, changed) = match followed {
                Some(Followed { log, last, pause, .. }) => {
                    let changed = last != look;
                    let longer = if changed { pace.first } else { (pause * 3 / 2).min(pace.longest) };
                    (log, longer, changed)
                }
                None => (LogPlace::default(), pace.first, true),
            };
            // After the look: with an end these are known to be the last ones.
            let skip = if log.lines == 0 { usize::try_from(cursor).unwrap_or(usize::MAX) } else { 0 };
            let lines: Vec<String> = self.new_lines(&known, &mut log).await.into_iter().skip(skip).collect();
            let pause = if lines.is_empty() { pause } else { pace.first };
            let at = Followed { log, last: look, since: Stopwatch::start(), pause };
            let over = waiting.elapsed() >= patience;
            if changed || over || !lines.is_empty() || !at.last.training.is_open() {
                let seen = watched(&at, lines);
                self.followed.lock().await.insert(name.clone(), at);
                return Ok(Some(seen));
            }
            followed = Some(at);
        }
    }
}

fn watched(at: &Followed, lines: Vec<String>) -> WatchedTraining {
    WatchedTraining {
        training: at.last.training.clone(),
        lines,
        cursor: at.log.lines,
        packing: None,
        status: at.last.words.clone(),
    }
}
