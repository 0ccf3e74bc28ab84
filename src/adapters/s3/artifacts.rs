//! The artifact store in S3: every artifact of a version lies below its group, in the account of that group.
//!
//! A promotion is a copy by S3 itself, with the credentials of the group that it enters. Nothing is read through this
//! machine but what somebody asked to have here (`fetch`), and what S3 keeps no digest of when it is to be verified.

use crate::adapters::aws::Accounts;
use crate::adapters::aws::Class;
use crate::adapters::aws::Kind;
use crate::adapters::aws::Session;
use crate::adapters::s3::copy::CopiedObject;
use crate::adapters::s3::copy::CopyOptions;
use crate::adapters::s3::copy::CopySizes;
use crate::adapters::s3::copy::copy_object;
use crate::adapters::s3::hash::Hashed;
use crate::adapters::s3::hash::Hashing;
use crate::adapters::s3::hash::hash_file;
use crate::adapters::s3::keys;
use crate::adapters::s3::look::look;
use crate::adapters::s3::objects::Objects;
use crate::adapters::s3::place::S3Place;
use crate::adapters::s3::sweep;
use crate::adapters::s3::upload::Upload;
use crate::adapters::s3::upload::upload;
use crate::adapters::unfinished;
use crate::facts::holdings::Held;
use crate::facts::holdings::HeldArtifact;
use crate::model::artifact::Artifact;
use crate::model::name::GroupName;
use crate::model::name::ModelName;
use crate::model::name::ProjectName;
use crate::model::name::StageName;
use crate::ports::Clock;
use crate::ports::PortError;
use crate::ports::PortErrorKind;
use crate::ports::artifacts::ArtifactPlace;
use crate::ports::artifacts::ArtifactStore;
use crate::ports::artifacts::Copied;
use crate::ports::progress::Progress;
use crate::ports::progress::Tick;
use std::collections::BTreeSet;
use std::io::Seek as _;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

/// How often a download begins anew after the stream broke.
const DOWNLOADS: u32 = 4;

/// Artifacts of a project in S3.
pub struct S3Artifacts {
    accounts: Accounts,
    project: ProjectName,
    clock: Arc<dyn Clock>,
    sizes: CopySizes,
    swept: AtomicBool,
}

impl S3Artifacts {
    /// Keeps artifacts in the buckets of these accounts.
    pub fn new(accounts: Accounts, project: ProjectName, clock: Arc<dyn Clock>) -> Self {
        Self { accounts, project, clock, sizes: CopySizes::default(), swept: AtomicBool::new(false) }
    }

    /// Moves the border between one request and many.
    pub fn with_sizes(self, sizes: CopySizes) -> Self {
        Self { sizes, ..self }
    }

    /// Returns the account that an object lies in, or the default one. In one bucket every stage may have a role of its
    /// own: whose group or training run it is decides.
    fn account_of(&self, place: &S3Place) -> &Arc<Session> {
        let all = self.accounts.all();
        let here = |session: &&Arc<Session>| session.place.bucket == place.bucket;
        let of_owner = all.iter().copied().filter(here).find_map(|session| {
            let rest = place.key.strip_prefix(&session.key(&format!("{}/", self.project)))?;
            let mut parts = rest.split('/');
            match (parts.next()?, parts.next()) {
                ("stages", Some(stage)) => StageName::parse(stage).ok().map(|stage| self.accounts.of_stage(&stage)),
                (group, _) => GroupName::parse(group).ok().map(|group| self.accounts.of_group(&group)),
            }
        });
        if let Some(owner) = of_owner.filter(here) {
            return owner;
        }
        let known = all.into_iter().find(|session| session.place.bucket == place.bucket);
        known.unwrap_or_else(|| self.accounts.default_account())
    }

    async fn copy_inside(
        &self,
        from: &Artifact,
        place: &S3Place,
        to: &S3Place,
        session: &Arc<Session>,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<CopiedObject, PortError> {
        let options = CopyOptions { expected: Some(&from.digest), sizes: self.sizes, progress: Some(progress) };
        let source = match self.account_of(place) {
            known if known.place.bucket == place.bucket => known,
            _ => session,
        };
        copy_object(source, session, place, to, &options)
            .await
            .map_err(|failure| failure.into_port(format!("copy {} to {}", from.location, to.uri())))
    }

    async fn bring(
        &self,
        from: &Artifact,
        file: &Path,
        to: &S3Place,
        session: &Arc<Session>,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<CopiedObject, PortError> {
        let doing = || format!("store {} at {}", file.display(), to.uri());
        let (path, meant) = (file.to_owned(), from.digest.clone());
        let hashed = tokio::task::spawn_blocking(move || hash_file(&path, &|_| {})).await;
        let hashed = hashed.map_err(|error| PortError::because(PortErrorKind::Bug, doing(), error))?;
        let hashed = hashed.map_err(|error| {
            let kind = match error.kind() {
                std::io::ErrorKind::NotFound => PortErrorKind::NotFound,
                _ => PortErrorKind::Storage,
            };
            PortError::because(kind, doing(), error).hint("Train again to make it anew.")
        })?;
        let found = hashed.like(&meant);
        if found != meant {
            return Err(damaged(doing(), from, &found.to_string()));
        }
        let order = Upload {
            target: session,
            file,
            hashed: &hashed,
            to,
            sizes: self.sizes,
            lies_there: false,
            progress: Some(progress),
        };
        upload(&order).await.map_err(|failure| failure.into_port(doing()))
    }

    /// Reads an object through this machine and hands on its pieces.
    async fn read(
        &self,
        place: &S3Place,
        doing: &str,
        on_bytes: &mut (dyn FnMut(&[u8]) -> Result<(), PortError> + Send),
    ) -> Result<(), Broken> {
        let session = self.account_of(place);
        let said = session
            .call(Kind::Read, "s3:GetObject", || session.s3.get_object().bucket(&place.bucket).key(&place.key).send())
            .await
            .map_err(|refused| Broken::Final(refused.into_port(doing)))?;
        let mut body = said.body;
        while let Some(piece) = body.next().await {
            match piece {
                Ok(piece) => on_bytes(&piece).map_err(Broken::Final)?,
                Err(error) => {
                    return Err(Broken::Stream(
                        PortError::because(PortErrorKind::Network, doing, error)
                            .hint("The connection broke. Run again."),
                    ));
                }
            }
        }
        Ok(())
    }

    /// Sweeps uploads that a killed process left more than a day ago, once in a process. What may not be listed is the
    /// business of the bucket's own rule.
    async fn sweep_once(&self) {
        if self.swept.swap(true, Ordering::Relaxed) {
            return;
        }
        for session in self.accounts.all() {
            let folder = session.key(&format!("{}/", self.project));
            let _ = sweep::stale_uploads(session, &folder, self.clock.now()).await;
        }
    }
}

/// How reading ended early.
enum Broken {
    /// Beginning anew may help.
    Stream(PortError),
    Final(PortError),
}

#[async_trait::async_trait]
impl ArtifactStore for S3Artifacts {
    async fn copy(&self, from: &Artifact, to: &ArtifactPlace, progress: &dyn Progress) -> Result<Copied, PortError> {
        let session = self.accounts.of_group(&to.group);
        let key = keys::artifact_key(&to.project, &to.group, &to.fingerprint, from);
        let target = S3Place::new(&session.place.bucket, session.key(&key));
        let what = format!("copying {}", from.name);
        let tell = Telling { progress, model: &to.model, what: &what, total: from.size };
        let hear =
            |done: u64| tell.progress.tick(tell.model, Tick::Moves { what: tell.what, done, total: Some(tell.total) });
        let copied = match source(from)? {
            Source::Object(place) => self.copy_inside(from, &place, &target, session, &hear).await?,
            Source::File(file) => self.bring(from, Path::new(file), &target, session, &hear).await?,
        };
        let bytes_moved = if copied.was_there { 0 } else { copied.size };
        let artifact =
            Artifact { name: from.name.clone(), digest: copied.digest, size: copied.size, location: target.uri() };
        Ok(Copied { artifact, bytes_moved })
    }

    async fn verify(&self, artifact: &Artifact) -> Result<(), PortError> {
        let doing = format!("verify {}", artifact.location);
        let place = object(artifact)?;
        let session = self.account_of(&place);
        let found = look(session, &session.s3, &place).await.map_err(|refused| missing(refused.into_port(&doing)))?;
        if found.size != artifact.size {
            return Err(damaged(doing, artifact, &format!("{} bytes instead of {}", found.size, artifact.size)));
        }
        if let Some(is) = found.digest_like(&artifact.digest) {
            return if is == artifact.digest { Ok(()) } else { Err(damaged(doing, artifact, &is.to_string())) };
        }
        // S3 keeps no digest of this kind: somebody else put it there. Reading it is the only way to know.
        let hashed = self.download(&place, &doing, &mut |_| Ok(()), &mut || Ok(())).await?;
        let is = hashed.like(&artifact.digest);
        if is == artifact.digest { Ok(()) } else { Err(damaged(doing, artifact, &is.to_string())) }
    }

    async fn held(&self) -> Result<Held<HeldArtifact>, PortError> {
        let (mut held, mut places) = (Held::default(), BTreeSet::new());
        for session in self.accounts.all() {
            let folder = format!("{}/", self.project);
            let uri = Objects::of(session).location(&folder);
            // Stages with roles of their own may share a bucket.
            if !places.insert(uri.clone()) {
                continue;
            }
            match sweep::list(session, &folder, &format!("list {uri}")).await {
                Ok(found) => {
                    held.known.extend(found.known);
                    held.unknown.extend(found.unknown);
                }
                // A role may reach its own stage only. What it cannot see it takes nothing from.
                Err(error) if error.kind == PortErrorKind::Permission => {
                    held.unknown.push(format!("{uri} (may not be listed)"));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(held)
    }

    async fn remove(&self, artifact: &Artifact) -> Result<bool, PortError> {
        self.sweep_once().await;
        let doing = format!("remove {}", artifact.location);
        let place = object(artifact)?;
        let session = self.account_of(&place);
        let folder = session.key(&format!("{}/", self.project));
        let ours = session.place.bucket == place.bucket
            && place
                .key
                .strip_prefix(&folder)
                .is_some_and(|rest| matches!(keys::whose(rest), keys::Whose::Artifact(_)));
        if !ours {
            // What lies elsewhere was not stored here.
            return Ok(false);
        }
        match look(session, &session.s3, &place).await {
            Ok(_) => {}
            Err(refused) if refused.class == Class::NotFound => return Ok(false),
            Err(refused) => return Err(refused.into_port(doing)),
        }
        let sent = session
            .call(Kind::Repeatable, "s3:DeleteObject", || {
                session.s3.delete_object().bucket(&place.bucket).key(&place.key).send()
            })
            .await;
        sent.map(|_| true).map_err(|refused| refused.into_port(doing))
    }

    async fn fetch(&self, artifact: &Artifact, to: &Path) -> Result<(), PortError> {
        let doing = format!("fetch {} to {}", artifact.location, to.display());
        let place = object(artifact)?;
        let writing = |error: std::io::Error| {
            let kind = match error.kind() {
                std::io::ErrorKind::StorageFull => PortErrorKind::DiskFull,
                _ => PortErrorKind::Storage,
            };
            PortError::because(kind, &doing, error).hint("Is there room, and may this user write there?")
        };
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let beside = || tempfile::Builder::new().prefix(".fetch-").tempfile_in(folder);
        let (temporary, _mark) = unfinished::make(beside, |made| made.path().to_owned()).map_err(writing)?;
        let again = temporary.as_file().try_clone().map_err(writing)?;
        let mut out = temporary.as_file();
        let hashed = self
            .download(&place, &doing, &mut |piece| out.write_all(piece).map_err(writing), &mut || {
                let mut again = &again;
                again.set_len(0).and_then(|()| again.rewind()).map_err(writing)
            })
            .await?;
        let is = hashed.like(&artifact.digest);
        if is != artifact.digest {
            return Err(damaged(doing, artifact, &is.to_string()));
        }
        temporary.as_file().sync_all().map_err(writing)?;
        temporary.persist(to).map_err(|error| writing(error.error))?;
        Ok(())
    }
}

impl S3Artifacts {
    /// Reads an object to its end, beginning anew where the stream breaks, and returns its digests.
    async fn download(
        &self,
        place: &S3Place,
        doing: &str,
        write: &mut (dyn FnMut(&[u8]) -> Result<(), PortError> + Send),
        again: &mut (dyn FnMut() -> Result<(), PortError> + Send),
    ) -> Result<Hashed, PortError> {
        let mut beginning = 1;
        loop {
            let mut hashing = Hashing::new();
            let read = self
                .read(place, doing, &mut |piece| {
                    hashing.take(piece);
                    write(piece)
                })
                .await;
            match read {
                Ok(()) => return Ok(hashing.finish()),
                Err(Broken::Stream(_)) if beginning < DOWNLOADS => {
                    beginning += 1;
                    again()?;
                }
                Err(Broken::Stream(error) | Broken::Final(error)) => return Err(missing(error)),
            }
        }
    }
}

/// What a progress line says.
struct Telling<'a> {
    progress: &'a dyn Progress,
    model: &'a ModelName,
    what: &'a str,
    total: u64,
}

/// Where an artifact comes from.
enum Source<'a> {
    Object(S3Place),
    File(&'a str),
}

fn source(artifact: &Artifact) -> Result<Source<'_>, PortError> {
    match artifact.location.strip_prefix("file:") {
        Some(path) => Ok(Source::File(path)),
        None => object(artifact).map(Source::Object),
    }
}

fn object(artifact: &Artifact) -> Result<S3Place, PortError> {
    S3Place::parse(&artifact.location).ok_or_else(|| {
        PortError::because(
            PortErrorKind::Configuration,
            format!("use artifact {}", artifact.name),
            format!("`{}` is not in S3", artifact.location),
        )
        .hint("Use the artifact store that made it, or bring the version over: `branchline import`.")
    })
}

fn missing(error: PortError) -> PortError {
    match error.kind {
        PortErrorKind::NotFound => {
            error.hint("The object was removed from outside. Restore it in the bucket, or make the model anew: `branchline train --again --reason \"lost artifact\"`.")
        }
        _ => error,
    }
}

fn damaged(doing: String, artifact: &Artifact, found: &str) -> PortError {
    let cause = format!("{} should be {}, and it is {found}", artifact.name, artifact.digest);
    PortError::because(PortErrorKind::Corrupt, doing, cause).hint(
        "Nothing was overwritten. Restore the object's former version in the bucket, or make it anew: \
         `branchline train --again --reason \"damaged artifact\"`.",
    )
}
