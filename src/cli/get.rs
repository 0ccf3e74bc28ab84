//! `get`: writes the artifact of a version to a file, whatever backend keeps it. The store verifies the digest while it
//! writes; the file appears whole, or not at all.

use crate::adapters::unfinished;
use crate::adapters::unfinished::Unfinished;
use crate::cli::address;
use crate::cli::args::Format;
use crate::cli::args::GetArgs;
use crate::cli::block_on;
use crate::cli::compose::Place;
use crate::cli::failure;
use crate::cli::failure::Failure;
use crate::cli::notice;
use crate::cli::print;
use crate::cli::print_json;
use crate::cli::read;
use crate::facts::GroupFacts;
use crate::facts::group::GroupLook;
use crate::model::approval::Approval;
use crate::model::name::GroupName;
use crate::model::version::Version;
use crate::model::version::VersionNumber;
use crate::report::json::GotJson;
use crate::report::json::JSON_SCHEMA;
use crate::report::terminal::plain;
use std::fs::Permissions;
use std::path::Path;
use std::path::PathBuf;

/// Writes the artifact.
pub fn get(directory: Option<&Path>, args: &GetArgs) -> Result<u8, Failure> {
    let place = Place::find(directory, false)?;
    let (composed, _) = read::open(&place)?;
    let (_, _, group) = read::find_group(&composed, &args.group, args.model.as_deref())?;
    let number = args.version.as_deref().map(read::version_number).transpose()?;
    let file = directory.map_or_else(|| args.output.clone(), |directory| directory.join(&args.output));
    refuse(&file, args.force)?;
    block_on(async {
        let look = GroupLook { numbers: number.into_iter().collect(), ..GroupLook::default() };
        let facts = composed.drive.ports.registry.look(&group, &look).await;
        let facts = facts.map_err(|error| Failure::port(&error))?;
        let version = chosen(&group, &facts, number)?;
        let artifact = version.content.artifacts.first().ok_or_else(|| {
            Failure::new(failure::BLOCKED, format!("{group} {} has no artifact", version.number))
                .hint(format!("see what it has: branchline show {group} {}", version.number))
        })?;
        let waiting = Waiting::beside(&file)?;
        let fetched = composed.drive.ports.artifacts.fetch(artifact, &waiting.file).await;
        fetched.map_err(|error| Failure::port(&error))?;
        waiting.become_file(&file, args.force)?;
        if version.approval != Approval::Approved {
            notice(&format!("{group} {} is {}", version.number, version.approval.as_str()));
        }
        let got = GotJson {
            schema: JSON_SCHEMA,
            group: group.clone(),
            version: version.number.0,
            semver: version.content.semver.to_string(),
            current: facts.current_number() == Some(version.number),
            artifact: artifact.name.clone(),
            file: file.display().to_string(),
            size: artifact.size,
            digest: artifact.digest.to_string(),
            location: address::of(&place.home, Some(&composed.config), artifact).location,
        };
        match args.format {
            Format::Json => print_json(&got),
            Format::Text => print(&format!(
                "wrote {}: {} of {group} v{} {}, {} bytes ({} verified)\n",
                plain(&got.file),
                plain(&got.artifact),
                got.version,
                got.semver,
                got.size,
                got.digest
            )),
        }
    })?
}

/// Refuses what must not be written over, before anything is read.
fn refuse(file: &Path, force: bool) -> Result<(), Failure> {
    let Ok(meta) = file.symlink_metadata() else { return Ok(()) };
    if meta.is_dir() {
        return Err(Failure::usage(format!("{} is a folder", file.display())).hint("name the file to write: -o FILE"));
    }
    if force {
        return Ok(());
    }
    Err(exists(file))
}

fn exists(file: &Path) -> Failure {
    Failure::usage(format!("{} exists already, and get does not replace it", file.display()))
        .hint("replace it: --force; or name another file: -o FILE")
}

/// Finds the version that is meant.
fn chosen<'f>(group: &GroupName, facts: &'f GroupFacts, number: Option<VersionNumber>) -> Result<&'f Version, Failure> {
    let Some(number) = number else {
        return facts.current.as_ref().ok_or_else(|| {
            Failure::new(failure::BLOCKED, format!("{group} has no current version: none is approved"))
                .hint(format!("see its versions: branchline show {group}"))
        });
    };
    facts.asked.iter().find(|version| version.number == number).ok_or_else(|| {
        let newest = facts.newest.map_or_else(|| "it is empty".to_owned(), |n| format!("its newest is {n}"));
        Failure::usage(format!("{group} has no {number}: {newest}"))
    })
}

/// A file beside the one that is wanted, until it is whole. It is removed where the command fails.
struct Waiting {
    file: PathBuf,
    /// Those of any new file of this user. A store's own temporary file may be readable for its owner alone.
    permissions: Permissions,
    _mark: Unfinished,
}

impl Waiting {
    fn beside(file: &Path) -> Result<Self, Failure> {
        let name = file.file_name().ok_or_else(|| {
            Failure::usage(format!("{} is not the name of a file", file.display())).hint("name it: -o FILE")
        })?;
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !folder.is_dir() {
            return Err(Failure::usage(format!("there is no folder {}", folder.display())));
        }
        let hidden = format!(".{}.{}", name.to_string_lossy(), uuid::Uuid::new_v4());
        let hidden = folder.join(hidden);
        let failed = |error| Failure::io(&format!("write {}", file.display()), &error);
        let (made, mark) =
            unfinished::make(|| std::fs::File::create_new(&hidden), |_| hidden.clone()).map_err(failed)?;
        let permissions = made.metadata().map_err(failed)?.permissions();
        Ok(Self { file: hidden, permissions, _mark: mark })
    }

    /// Gives the file its name. Without `force`, a file that came meanwhile stays.
    fn become_file(&self, file: &Path, force: bool) -> Result<(), Failure> {
        let doing = || format!("write {}", file.display());
        std::fs::set_permissions(&self.file, self.permissions.clone())
            .map_err(|error| Failure::io(&doing(), &error))?;
        if force {
            return std::fs::rename(&self.file, file).map_err(|error| Failure::io(&doing(), &error));
        }
        match std::fs::hard_link(&self.file, file) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Err(exists(file)),
            // Not every file system knows links. What was not there a moment ago is named then.
            Err(_) if file.symlink_metadata().is_err() => {
                std::fs::rename(&self.file, file).map_err(|error| Failure::io(&doing(), &error))
            }
            Err(error) => Err(Failure::io(&doing(), &error)),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // After a rename it is gone.
        drop(std::fs::remove_file(&self.file));
    }
}
