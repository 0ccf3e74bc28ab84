//! Data that a commit only points at (Git LFS, DVC): taken from this machine, and verified against what the pointer
//! records. What is not here, or is something else, never stands in for them.
//!
//! How DVC hashes: `dvc_data/hashfile` (`hash.py`, `istextfile.py`, `tree.py`).

use crate::adapters::local::blob::hash_file;
use crate::adapters::local::home::storage_error;
use crate::adapters::local::reach::DataPlaces;
use crate::adapters::local::reach::PlaceError;
use crate::model::pointer::PointedData;
use crate::model::pointer::PointerKind;
use crate::ports::datasets::Unusable;
use crate::ports::error::PortError;
use crate::ports::error::PortErrorKind;
use ignore::gitignore::Gitignore;
use ignore::gitignore::GitignoreBuilder;
use md5::Digest as _;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Read as _;
use std::path::Path;
use std::path::PathBuf;

/// How much of a file DVC reads at once, and replaces line endings in.
const DVC_CHUNK: usize = 1 << 20;

/// How much of a file says whether DVC takes it for text.
const DVC_PROBE: usize = 512;

/// The largest `.dvcignore` that is read, in bytes.
const IGNORE_LIMIT: u64 = 1 << 20;

/// Tells why data cannot be used, as far as that shows without reading them.
pub(super) fn unusable(one: &PointedData, places: &DataPlaces) -> Option<Unusable> {
    source(one, places).err()
}

/// Finds where the data lie: in the working tree, or among the objects of Git LFS.
fn source(one: &PointedData, places: &DataPlaces) -> Result<PathBuf, Unusable> {
    let path = &one.path;
    if one.kind == PointerKind::Other || path.contains("://") {
        return Err(Unusable::Refused(format!(
            "{path} is not on this machine, or its pointer records a hash that cannot be verified here: name the data \
             themselves, with `version` or `version_from`"
        )));
    }
    let fits = |at: &Path| {
        let about = fs::metadata(at).ok();
        about.is_some_and(|about| match (one.is_folder, one.size) {
            (true, _) => about.is_dir(),
            // Other line endings are the same text for DVC 2, and not the same size.
            (false, Some(size)) if one.kind != PointerKind::DvcMd5Text => about.is_file() && about.len() == size,
            (false, _) => about.is_file(),
        })
    };
    match places.resolve(path) {
        Ok(at) if fits(&at) => return Ok(at),
        Err(PlaceError::Refused(why)) => return Err(Unusable::Refused(why)),
        Ok(_) | Err(PlaceError::Io(_)) => {}
    }
    if one.kind == PointerKind::Lfs
        && let Some(at) = places.lfs_object(&one.hash).filter(|at| fits(at))
    {
        return Ok(at);
    }
    Err(Unusable::NotHere(match one.kind {
        PointerKind::Lfs => format!(
            "{path} is a Git LFS pointer, and the file that it stands for is not here: run `git lfs pull`, or set \
             `lfs: true` on actions/checkout"
        ),
        PointerKind::AnnexSha256 | PointerKind::AnnexMd5 => {
            format!("{path} is a git-annex pointer, and the file that it stands for is not here: run `git annex get`")
        }
        PointerKind::DvcMd5 | PointerKind::DvcMd5Text | PointerKind::Other => {
            format!("{path} is tracked by DVC, and the data that the commit records are not here: run `dvc pull`")
        }
    }))
}

/// Puts data to `to`: a file under this very path, the files of a folder below it. `below`: only this part of a
/// folder, which is verified as a whole all the same.
pub(super) fn place(one: &PointedData, below: Option<&str>, to: &Path, places: &DataPlaces) -> Result<(), PortError> {
    let doing = || format!("use the data {}", one.path);
    let from = source(one, places).map_err(|unusable| {
        let (Unusable::Refused(why) | Unusable::NotHere(why)) = unusable;
        PortError::because(PortErrorKind::Configuration, doing(), why)
    })?;
    let placing = |error| storage_error("place data for training", to, error);
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).map_err(placing)?;
    }
    let (recorded, found) = if one.is_folder {
        (format!("md5:{}.dir", one.hash), format!("md5:{}.dir", place_folder(one, &from, below, to, places)?))
    } else {
        let copied = copy_over(&from, to);
        // The files of a working tree change while a person works: what the object store holds does not.
        let found = copied.and_then(|()| hash_as(one.kind, to)).map_err(placing)?;
        let stored = places.lfs_object(&one.hash).filter(|at| one.kind == PointerKind::Lfs && at.is_file());
        match stored {
            Some(object) if found != one.hash => {
                let found = copy_over(&object, to).and_then(|()| hash_as(one.kind, to)).map_err(placing)?;
                (shown(one.kind, &one.hash), shown(one.kind, &found))
            }
            Some(_) | None => (shown(one.kind, &one.hash), shown(one.kind, &found)),
        }
    };
    if recorded == found {
        return Ok(());
    }
    let why = format!("they are {found} here, but the commit's pointer file says {recorded}");
    Err(PortError::because(PortErrorKind::Configuration, doing(), why).hint(
        "Bring the data to the state of the commit (`dvc checkout`, `git lfs pull`), or commit the new pointer file.",
    ))
}

fn shown(kind: PointerKind, hash: &str) -> String {
    let algorithm = if matches!(kind, PointerKind::Lfs | PointerKind::AnnexSha256) { "sha256" } else { "md5" };
    format!("{algorithm}:{hash}")
}

/// Copies a file in place of what is there, such as the pointer itself.
fn copy_over(from: &Path, to: &Path) -> io::Result<()> {
    match fs::remove_file(to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    fs::copy(from, to).map(|_| ())
}

fn hash_as(kind: PointerKind, path: &Path) -> io::Result<String> {
    match kind {
        PointerKind::Lfs | PointerKind::AnnexSha256 => {
            hash_file(path, &mut |_| {}).map(|(digest, _)| digest.as_str().to_owned())
        }
        PointerKind::DvcMd5 | PointerKind::AnnexMd5 | PointerKind::Other => dvc_md5(path, false),
        PointerKind::DvcMd5Text => dvc_md5(path, true),
    }
}

/// Copies a folder and returns its hash as DVC makes it for `.dir` files: the MD5 of the JSON list of its files, as
/// Python writes it, sorted by path.
fn place_folder(
    one: &PointedData,
    from: &Path,
    below: Option<&str>,
    to: &Path,
    places: &DataPlaces,
) -> Result<String, PortError> {
    let failed = |error: io::Error| {
        PortError::because(PortErrorKind::Storage, format!("read the data {}", one.path), error)
            .hint("Check that the data can be read, then run again.")
    };
    fs::create_dir_all(to).map_err(|error| storage_error("place data for training", to, error))?;
    let ignored = ignore_files(places.root(), from);
    let keep = |entry: &walkdir::DirEntry| !is_ignored(&ignored, entry.path(), entry.file_type().is_dir());
    let mut hashes = Vec::new();
    for found in walkdir::WalkDir::new(from).min_depth(1).sort_by_file_name().into_iter().filter_entry(keep) {
        let found = found.map_err(|error| failed(error.into()))?;
        let relative = found.path().strip_prefix(from).unwrap_or(found.path());
        let parts: Vec<String> = relative.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        let path = parts.join("/");
        if found.file_type().is_dir() {
            continue;
        }
        // DVC may keep the files in its cache, and only links to them here.
        let at = places.resolve(&found.path().display().to_string()).map_err(|error| match error {
            PlaceError::Refused(why) => {
                PortError::because(PortErrorKind::Configuration, format!("use the data {}", one.path), why)
            }
            PlaceError::Io(error) => failed(error),
        })?;
        if !at.is_file() {
            let why = format!("{path} is neither a file nor a folder");
            return Err(PortError::because(PortErrorKind::Configuration, format!("use the data {}", one.path), why));
        }
        let wanted = match below {
            None => Some(path.as_str()),
            Some(part) if path == part => path.rsplit('/').next(),
            Some(part) => path.strip_prefix(part).and_then(|rest| rest.strip_prefix('/')),
        };
        let hashed = match wanted {
            Some(wanted) => {
                let copy = to.join(wanted);
                let placing = |error| storage_error("place data for training", &copy, error);
                fs::create_dir_all(copy.parent().unwrap_or(to)).map_err(placing)?;
                fs::copy(&at, &copy).map_err(placing)?;
                copy
            }
            None => at,
        };
        hashes.push((path, hash_as(one.kind, &hashed).map_err(failed)?));
    }
    hashes.sort();
    let list: Vec<String> = hashes
        .iter()
        .map(|(path, md5)| format!("{{\"md5\": \"{md5}\", \"relpath\": {}}}", python_json(path)))
        .collect();
    Ok(hex::encode(md5::Md5::digest(format!("[{}]", list.join(", ")))))
}

/// Reads the `.dvcignore` files that can say something about a folder: DVC forbids them inside of its data.
fn ignore_files(root: &Path, dir: &Path) -> Vec<Gitignore> {
    let mut found = Vec::new();
    // The nearest file decides, as with `.gitignore`.
    for folder in dir.ancestors().skip(1).take_while(|folder| folder.starts_with(root)) {
        let file = folder.join(".dvcignore");
        if fs::symlink_metadata(&file).is_ok_and(|about| about.is_file() && about.len() <= IGNORE_LIMIT) {
            let mut builder = GitignoreBuilder::new(folder);
            // A line that is no pattern is left out, as DVC does.
            let _ = builder.add(&file);
            found.extend(builder.build());
        }
    }
    found
}

fn is_ignored(files: &[Gitignore], path: &Path, is_folder: bool) -> bool {
    // What DVC leaves out by itself.
    if path.file_name().is_some_and(|name| [".git", ".hg", ".dvc"].iter().any(|own| name == *own)) {
        return true;
    }
    let told = files.iter().map(|file| file.matched(path, is_folder)).find(|told| !told.is_none());
    told.is_some_and(|told| told.is_ignore())
}

/// Hashes a file as DVC does. `text`: as DVC up to 2, with the line endings of text made alike in each chunk.
fn dvc_md5(path: &Path, text: bool) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = md5::Md5::new();
    let mut chunk = Vec::new();
    let mut is_text = None;
    loop {
        chunk.clear();
        if io::Read::by_ref(&mut file).take(DVC_CHUNK as u64).read_to_end(&mut chunk)? == 0 {
            return Ok(hex::encode(hasher.finalize()));
        }
        if *is_text.get_or_insert_with(|| text && is_dvc_text(&chunk[..chunk.len().min(DVC_PROBE)])) {
            hasher.update(with_unix_endings(&chunk));
        } else {
            hasher.update(&chunk);
        }
    }
}

fn with_unix_endings(bytes: &[u8]) -> Vec<u8> {
    let is_kept = |(index, byte): &(usize, &u8)| !(**byte == b'\r' && bytes.get(index + 1) == Some(&b'\n'));
    bytes.iter().enumerate().filter(is_kept).map(|(_, byte)| *byte).collect()
}

/// Tells text from other content as DVC's `istextblock` does: no NUL, and at most 30 % of unusual bytes.
fn is_dvc_text(probe: &[u8]) -> bool {
    if probe.contains(&0) {
        return false;
    }
    let usual = |byte: &&u8| matches!(byte, 32..=126 | b'\n' | b'\r' | b'\t' | 0x0c | 0x08);
    let unusual = probe.len() - probe.iter().filter(usual).count();
    unusual * 10 <= probe.len() * 3
}

/// Writes text as Python's `json.dumps` does: ASCII only.
fn python_json(text: &str) -> String {
    let quoted = serde_json::Value::String(text.to_owned()).to_string();
    let mut ascii = String::new();
    for unit in quoted.chars() {
        if unit.is_ascii() {
            ascii.push(unit);
        } else {
            let mut units = [0; 2];
            for code in unit.encode_utf16(&mut units) {
                ascii.push_str(&format!("\\u{code:04x}"));
            }
        }
    }
    ascii
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::local::home::Home;
    use crate::adapters::local::reach::DataReach;
    use crate::model::digest::Sha256Digest;

    fn world() -> (tempfile::TempDir, DataPlaces) {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let places =
            DataPlaces::new(&Home::at(folder.path().join("home")), folder.path().join("repo"), DataReach::Machine);
        fs::create_dir_all(folder.path().join("repo/data/sub")).expect("it can be made");
        (folder, places)
    }

    fn pointed(path: &str, kind: PointerKind, hash: &str) -> PointedData {
        PointedData { path: path.to_owned(), kind, hash: hash.to_owned(), is_folder: false, size: None }
    }

    fn md5(text: &str) -> String {
        hex::encode(md5::Md5::digest(text))
    }

    #[test]
    fn a_folder_hashes_as_dvc_hashes_it() {
        let (folder, places) = world();
        let data = folder.path().join("repo/data");
        fs::write(data.join("b.csv"), "2\n").expect("it can be written");
        fs::write(data.join("sub/ä.csv"), "1\n").expect("it can be written");
        fs::write(data.join("notes.tmp"), "not DVC's").expect("it can be written");
        fs::write(folder.path().join("repo/.dvcignore"), "*.tmp\n").expect("it can be written");
        // python3: hashlib.md5(json.dumps([{"md5": hashlib.md5(b"2\n").hexdigest(), "relpath": "b.csv"},
        //          {"md5": hashlib.md5(b"1\n").hexdigest(), "relpath": "sub/ä.csv"}]).encode()).hexdigest()
        let recorded = "b3ab983b3c0b98018509b732613a7223";
        let one = PointedData { is_folder: true, ..pointed("data", PointerKind::DvcMd5, recorded) };
        let to = folder.path().join("to");
        place(&one, None, &to, &places).expect("they are what is recorded");
        assert!(to.join("b.csv").is_file() && to.join("sub/ä.csv").is_file() && !to.join("notes.tmp").exists());
        let part = folder.path().join("part");
        place(&one, Some("sub"), &part, &places).expect("the whole is what is recorded");
        assert!(part.join("ä.csv").is_file() && !part.join("b.csv").exists());
        fs::write(data.join("b.csv"), "3\n").expect("it can be written");
        let error =
            place(&one, Some("sub"), &folder.path().join("again"), &places).expect_err("the whole is other data");
        assert!(error.chain().contains(recorded), "{}", error.chain());
    }

    #[test]
    fn text_of_dvc_2_counts_with_unix_line_endings_and_nothing_else_does() {
        let (folder, places) = world();
        let to = folder.path().join("to.csv");
        for (content, kind, hash, is_right) in [
            ("a,b\r\n1,2\r\n", PointerKind::DvcMd5Text, md5("a,b\n1,2\n"), true),
            ("a,b\n1,2\n", PointerKind::DvcMd5Text, md5("a,b\n1,2\n"), true),
            ("a\rb\r\n", PointerKind::DvcMd5Text, md5("a\rb\n"), true),
            ("a,b\r\n1,2\r\n", PointerKind::DvcMd5, md5("a,b\n1,2\n"), false),
            ("a,b\r\n1,2\r\n", PointerKind::DvcMd5, md5("a,b\r\n1,2\r\n"), true),
            ("\0\r\n", PointerKind::DvcMd5Text, md5("\0\n"), false),
            ("\0\r\n", PointerKind::DvcMd5Text, md5("\0\r\n"), true),
        ] {
            fs::write(folder.path().join("repo/data/x.csv"), content).expect("it can be written");
            let placed = place(&pointed("data/x.csv", kind, &hash), None, &to, &places);
            assert_eq!(placed.is_ok(), is_right, "{content:?} {kind:?}");
        }
    }

    #[test]
    fn a_pointer_never_stands_in_for_the_data() {
        let (folder, places) = world();
        let (real, sha256) = ("real", Sha256Digest::of(b"real").as_str().to_owned());
        let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize 4\n");
        let (data, to) = (folder.path().join("repo/data/x.csv"), folder.path().join("to.csv"));
        let one = PointedData { size: Some(4), ..pointed("data/x.csv", PointerKind::Lfs, &sha256) };
        fs::write(&data, &pointer).expect("it can be written");
        assert!(matches!(unusable(&one, &places), Some(Unusable::NotHere(why)) if why.contains("git lfs pull")));
        assert!(place(&one, None, &to, &places).is_err());
        // Of the same size, and something else.
        fs::write(&data, "fake").expect("it can be written");
        assert_eq!(unusable(&one, &places), None);
        assert!(place(&one, None, &to, &places).is_err());
        fs::write(&data, real).expect("it can be written");
        place(&one, None, &to, &places).expect("it is the file");
        assert_eq!(fs::read_to_string(&to).expect("it is there"), real);
    }

    #[test]
    fn an_object_of_git_lfs_is_as_good_as_the_file() {
        let (folder, places) = world();
        let sha256 = Sha256Digest::of(b"real").as_str().to_owned();
        let objects = folder.path().join("lfs");
        let object = objects.join(&sha256[..2]).join(&sha256[2..4]);
        fs::create_dir_all(&object).expect("it can be made");
        fs::write(object.join(&sha256), "real").expect("it can be written");
        let places = places.with_lfs_objects(objects);
        let one = PointedData { size: Some(4), ..pointed("data/x.csv", PointerKind::Lfs, &sha256) };
        let to = folder.path().join("to.csv");
        for on_disk in [None, Some("fake")] {
            if let Some(content) = on_disk {
                fs::write(folder.path().join("repo/data/x.csv"), content).expect("it can be written");
            }
            assert_eq!(unusable(&one, &places), None);
            place(&one, None, &to, &places).expect("the object is the file");
            assert_eq!(fs::read_to_string(&to).expect("it is there"), "real");
        }
    }
}
