//! What Python finds first in a training run on this machine: the checkout, and never the working tree.
//!
//! Editable installs put the working tree on Python's module path, whatever is checked out. `PYTHONPATH` begins with a
//! small `sitecustomize` module, which Python runs before the command's own code: it turns each such place into the same
//! place of the checkout, or hides it. Then come the checkout and its `src`. Deliberately absent: other languages, whose
//! module paths begin at the working folder; and `python -I` and `-E`, which look at no variable.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;

/// The folder in that of a training which only holds the module.
const FOLDER: &str = "python";
/// The module, as far as it is the same for every training.
const MODULE: &str = include_str!("sitecustomize.py");

/// Writes the module into the folder of a training. `root`: the root of the main working tree.
pub(super) fn write(training: &Path, root: &Path) -> io::Result<()> {
    let folder = training.join(FOLDER);
    fs::create_dir_all(&folder)?;
    let roots: Vec<String> = working_trees(root)
        .into_iter()
        .filter_map(|path| fs::canonicalize(path).ok())
        .filter_map(|path| path.to_str().map(str::to_owned))
        .collect();
    // A list of strings is the same text in JSON and in Python.
    let roots = serde_json::to_string(&roots).map_err(io::Error::other)?;
    // What the environment's own modules put on the path is kept to the commit, too.
    let call = format!(
        "\n\n_own = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))\n_guard({roots}, _own)\ntry:\n    \
         _run_the_next(_own)\n    _run_the_users()\nfinally:\n    _guard({roots}, _own)\n"
    );
    fs::write(folder.join("sitecustomize.py"), format!("{MODULE}{call}"))
}

/// Returns the main working tree and those that `git worktree` linked to it.
fn working_trees(root: &Path) -> Vec<PathBuf> {
    let links = fs::read_dir(root.join(".git/worktrees")).into_iter().flatten().flatten();
    let linked = links.filter_map(|link| {
        // It names the `.git` file of that working tree.
        let text = fs::read_to_string(link.path().join("gitdir")).ok()?;
        Path::new(text.trim()).parent().map(Path::to_owned)
    });
    std::iter::once(root.to_owned()).chain(linked).collect()
}

/// Returns the value of `PYTHONPATH`: the module, the checkout, its `src`, then what was declared or handed on.
pub(super) fn value(training: &Path, code: &Path, more: Option<&OsString>) -> Option<OsString> {
    let mut places = vec![training.join(FOLDER), code.to_owned()];
    places.extend(Some(code.join("src")).filter(|src| src.is_dir()));
    places.extend(more.iter().flat_map(|more| std::env::split_paths(more)).filter(|path| !path.as_os_str().is_empty()));
    // A folder with a separator in its name cannot stand in such a list.
    std::env::join_paths(&places).ok()
}
