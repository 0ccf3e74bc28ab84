//! What lies in a project's folder: artifacts for `prune`, and uploads that a killed process left open.

use crate::adapters::aws::Kind;
use crate::adapters::aws::Refused;
use crate::adapters::aws::Session;
use crate::adapters::s3::keys;
use crate::adapters::s3::look::look_for;
use crate::adapters::s3::objects::Listed;
use crate::adapters::s3::objects::Objects;
use crate::adapters::s3::parts::abort;
use crate::adapters::s3::place::S3Place;
use crate::facts::holdings::Held;
use crate::facts::holdings::HeldArtifact;
use crate::model::artifact::Artifact;
use crate::ports::PortError;
use aws_sdk_s3::primitives::DateTime;
use std::sync::Arc;
use tokio::task::JoinSet;

/// How many objects are looked at side by side.
const AT_ONCE: usize = 16;

/// An upload younger than this may still be somebody's: the longest copy takes hours.
const STALE: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);

/// Lists the artifacts below a folder, with their digests, and what lies between them and is not ours.
pub(super) async fn list(session: &Arc<Session>, folder: &str, doing: &str) -> Result<Held<HeldArtifact>, PortError> {
    let objects = Objects::of(session);
    let refused = |refused: Refused| refused.into_port(doing);
    let mut held = Held::default();
    let mut looks = JoinSet::new();
    for Listed { key, stored_at, .. } in objects.list_while(folder, None, usize::MAX, |_| true, doing).await? {
        let place = objects.place(&key);
        match keys::whose(key.strip_prefix(folder).unwrap_or(&key)) {
            keys::Whose::Record => {}
            keys::Whose::Unknown => held.unknown.push(place.uri()),
            keys::Whose::Artifact(name) => {
                if looks.len() >= AT_ONCE {
                    take(&mut held, looks.join_next().await).map_err(refused)?;
                }
                let (session, name) = (Arc::clone(session), name.to_owned());
                looks.spawn(async move { one(&session, place, name, stored_at).await });
            }
        }
    }
    while let Some(looked) = looks.join_next().await {
        take(&mut held, Some(looked)).map_err(refused)?;
    }
    held.known.sort_by(|a, b| a.artifact.location.cmp(&b.artifact.location));
    Ok(held)
}

type Looked = Result<Option<Result<HeldArtifact, String>>, Refused>;

async fn one(session: &Session, place: S3Place, name: String, stored_at: jiff::Timestamp) -> Looked {
    let Some(found) = look_for(session, &session.s3, &place).await? else { return Ok(None) };
    let location = place.uri();
    Ok(Some(match found.digest() {
        Some(digest) => Ok(HeldArtifact { artifact: Artifact { name, digest, size: found.size, location }, stored_at }),
        None => Err(location),
    }))
}

fn take(held: &mut Held<HeldArtifact>, looked: Option<Result<Looked, tokio::task::JoinError>>) -> Result<(), Refused> {
    match looked {
        Some(Ok(Ok(Some(Ok(artifact))))) => held.known.push(artifact),
        Some(Ok(Ok(Some(Err(unknown))))) => held.unknown.push(unknown),
        Some(Ok(Err(refused))) => return Err(refused),
        // Gone since it was listed.
        Some(Ok(Ok(None))) | None => {}
        Some(Err(_)) => return Err(Refused::said("s3:GetObject", "InternalError", "a look was given up", 500)),
    }
    Ok(())
}

/// Aborts uploads below a folder that are older than a day. Returns how many.
pub(super) async fn stale_uploads(session: &Session, folder: &str, now: jiff::Timestamp) -> Result<usize, Refused> {
    let mut aborted = 0;
    let mut after: (Option<String>, Option<String>) = (None, None);
    loop {
        let page = session
            .call(Kind::Read, "s3:ListBucketMultipartUploads", || {
                let request = session.s3.list_multipart_uploads().bucket(&session.place.bucket).prefix(folder);
                request.set_key_marker(after.0.clone()).set_upload_id_marker(after.1.clone()).send()
            })
            .await?;
        for upload in page.uploads() {
            let (Some(key), Some(id)) = (upload.key(), upload.upload_id()) else { continue };
            let begun = upload.initiated().and_then(moment).unwrap_or(jiff::Timestamp::MAX);
            if now.duration_since(begun) > STALE {
                abort(session, &session.s3, &S3Place::new(&session.place.bucket, key), id).await?;
                aborted += 1;
            }
        }
        let next = (page.next_key_marker().map(str::to_owned), page.next_upload_id_marker().map(str::to_owned));
        if !page.is_truncated().unwrap_or(false) || next == after {
            return Ok(aborted);
        }
        after = next;
    }
}

fn moment(time: &DateTime) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_second(time.secs()).ok()
}
