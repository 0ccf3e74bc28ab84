//! Where a symbolic link of a checkout leads, decided before any link exists on disk.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// Links followed before a chain is taken for a circle: what Linux allows.
const HOPS: usize = 40;

/// Where a link leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// To something in the checkout.
    Inside,
    /// To a place in the checkout where nothing is.
    Dangling,
    /// Out of the checkout, or to an absolute path.
    Outside,
    /// In a circle.
    Circle,
}

/// The files and links that a checkout will have, by their paths.
#[derive(Debug, Default)]
pub(super) struct Layout {
    files: BTreeSet<Vec<u8>>,
    links: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Layout {
    /// Adds a file.
    pub(super) fn add_file(&mut self, path: &[u8]) {
        self.files.insert(path.to_vec());
    }

    /// Adds a link with its target.
    pub(super) fn add_link(&mut self, path: &[u8], target: &[u8]) {
        self.links.insert(folded(path), target.to_vec());
    }

    /// Follows the link at `path`, through every other link on its way, `..` meaning the folder really reached.
    pub(super) fn reach(&self, path: &[u8]) -> Reach {
        let mut at: Vec<Vec<u8>> = parts(path);
        let mut todo: Vec<Vec<u8>> = at.pop().into_iter().collect();
        let mut hops = 0;
        while let Some(part) = todo.pop() {
            if part == b"." {
                continue;
            }
            if part == b".." {
                if at.pop().is_none() {
                    return Reach::Outside;
                }
                continue;
            }
            at.push(part);
            if let Some(target) = self.links.get(&folded(&at.join(&b'/'))) {
                hops += 1;
                if hops > HOPS {
                    return Reach::Circle;
                }
                if target.is_empty() || is_absolute(target) {
                    return Reach::Outside;
                }
                at.pop();
                todo.extend(parts(target).into_iter().rev());
            }
        }
        if self.has(&at.join(&b'/')) { Reach::Inside } else { Reach::Dangling }
    }

    /// Tells whether the link at `path` leads to something in the checkout.
    pub(super) fn is_there(&self, path: &[u8]) -> bool {
        self.reach(path) == Reach::Inside
    }

    fn has(&self, path: &[u8]) -> bool {
        let below = [path, b"/"].concat();
        path.is_empty()
            || self.files.contains(path)
            || self.files.range(below.clone()..).next().is_some_and(|file| file.starts_with(&below))
    }
}

fn parts(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|b| *b == b'/' || (cfg!(windows) && *b == b'\\'))
        .filter(|part| !part.is_empty())
        .map(<[u8]>::to_vec)
        .collect()
}

fn is_absolute(target: &[u8]) -> bool {
    target[0] == b'/' || (cfg!(windows) && (target[0] == b'\\' || target.get(1) == Some(&b':')))
}

/// Where file systems ignore case, so does the search for links on the way.
fn folded(path: &[u8]) -> Vec<u8> {
    if cfg!(any(windows, target_os = "macos")) {
        String::from_utf8_lossy(path).to_lowercase().into_bytes()
    } else {
        path.to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(links: &[(&str, &str)]) -> Layout {
        let mut layout = Layout::default();
        layout.add_file(b"a/b/file");
        layout.add_file(b"top");
        for (path, target) in links {
            layout.add_link(path.as_bytes(), target.as_bytes());
        }
        layout
    }

    #[test]
    fn plain_targets() {
        let reach = |path: &str, target: &str| layout(&[(path, target)]).reach(path.as_bytes());
        assert_eq!(reach("l", "top"), Reach::Inside);
        assert_eq!(reach("l", "a/b"), Reach::Inside);
        assert_eq!(reach("a/l", "../top"), Reach::Inside);
        assert_eq!(reach("a/l", "."), Reach::Inside);
        assert_eq!(reach("l", "nowhere"), Reach::Dangling);
        assert_eq!(reach("l", "../top"), Reach::Outside);
        assert_eq!(reach("a/l", "../../top"), Reach::Outside);
        assert_eq!(reach("l", "/etc/passwd"), Reach::Outside);
        assert_eq!(reach("l", ""), Reach::Outside);
        assert_eq!(reach("l", "l"), Reach::Circle);
    }

    #[test]
    fn a_link_cannot_leave_through_another_one() {
        // Read as text, `a/b/up/..` is `a/b`. On disk it is the folder above the checkout.
        let layout = layout(&[("a/b/up", "../.."), ("l", "a/b/up/../x"), ("m", "out/x"), ("out", "../elsewhere")]);
        assert_eq!(layout.reach(b"a/b/up"), Reach::Inside);
        assert_eq!(layout.reach(b"l"), Reach::Outside);
        assert_eq!(layout.reach(b"m"), Reach::Outside);
    }
}
