//! Which repository this is: its remote, spelled one way, or else the commit that it began with.

use crate::adapters::git::open::GitRepository;
use crate::adapters::git::tree::object_id;
use crate::model::git::ObjectId;
use crate::model::git::RepositoryId;
use git2::Repository;
use git2::Sort;

impl GitRepository {
    /// Returns what the repository itself says of its identity. The host's own number is not known here.
    ///
    /// `remote` is the `origin` URL as `host/owner/name`. `root` is looked for only where there is no such remote
    /// and the history is whole, because it walks all of it.
    pub fn identity(&self) -> RepositoryId {
        let repo = self.repo();
        let remote = repo.find_remote("origin").ok().and_then(|remote| remote.url().ok().and_then(normalise_remote));
        let root = match &remote {
            Some(_) => None,
            None => self.root.get_or_init(|| if repo.is_shallow() { None } else { oldest_root(&repo) }).clone(),
        };
        RepositoryId { host_id: None, remote, root }
    }
}

/// Walks the heads of all branches and `HEAD`, so that the answer does not depend on what is checked out.
fn oldest_root(repo: &Repository) -> Option<ObjectId> {
    let mut walk = repo.revwalk().ok()?;
    walk.set_sorting(Sort::NONE).ok()?;
    // Each push fails where there is nothing of the kind; the others still count.
    let pushed = [walk.push_head(), walk.push_glob("refs/heads/*"), walk.push_glob("refs/remotes/origin/*")];
    if pushed.iter().all(Result::is_err) {
        return None;
    }
    let mut oldest: Option<(i64, git2::Oid)> = None;
    for id in walk {
        let commit = repo.find_commit(id.ok()?).ok()?;
        if commit.parent_count() == 0 {
            let candidate = (commit.time().seconds(), commit.id());
            oldest = Some(oldest.map_or(candidate, |known| known.min(candidate)));
        }
    }
    oldest.and_then(|(_, id)| object_id(id).ok())
}

/// Spells a remote's URL as `host/owner/name`: the same for https, ssh and `git@host:owner/name`.
///
/// Credentials, port, query and `.git` are dropped and the host is lower-cased. None for local paths, and for URLs
/// that cannot be read: a guess could carry a password.
pub fn normalise_remote(url: &str) -> Option<String> {
    let url = url.trim();
    let (authority, path) = match url.split_once("://") {
        Some((scheme, rest)) => {
            let known = ["http", "https", "ssh", "git", "git+ssh", "ssh+git", "git+https"];
            if !known.contains(&scheme.to_ascii_lowercase().as_str()) {
                return None;
            }
            let (authority, path) = rest.split_once('/')?;
            (authority, path.split(['?', '#']).next().unwrap_or_default())
        }
        None => scp_like(url)?,
    };
    let host = match authority.rsplit_once('@') {
        Some((_, host)) => host,
        None => authority,
    };
    let host = without_port(host)?.trim_end_matches('.').to_ascii_lowercase();
    // The hosts that serve SSH over port 443 under another name.
    let host = match host.as_str() {
        "ssh.github.com" => "github.com",
        "altssh.gitlab.com" => "gitlab.com",
        "altssh.bitbucket.org" => "bitbucket.org",
        other => other,
    };
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let path = parts.join("/");
    let path = path.strip_suffix(".git").unwrap_or(&path).trim_end_matches('/');
    let clean = |text: &str| !text.is_empty() && !text.chars().any(|c| c.is_control() || c.is_whitespace());
    // One letter is a drive of Windows, not a host.
    (clean(host) && host.len() > 1 && clean(path)).then(|| format!("{host}/{path}"))
}

/// Splits `[user@]host:path`, where no `/` stands before the `:`.
fn scp_like(url: &str) -> Option<(&str, &str)> {
    let colon = match url.find("]:") {
        Some(bracket) => bracket + 1,
        None => url.find(':')?,
    };
    let (authority, path) = (&url[..colon], &url[colon + 1..]);
    // `ext::command` names a helper program, not a host; a backslash is a path of Windows.
    let legal = !authority.contains(['/', '\\']) && !path.starts_with([':', '\\']);
    legal.then_some((authority, path))
}

fn without_port(host: &str) -> Option<&str> {
    if host.starts_with('[') {
        let end = host.find(']')?;
        return Some(&host[..=end]);
    }
    match host.rsplit_once(':') {
        // `user:pass/word@host` would end up here with half of a password as its port.
        Some((host, port)) => port.bytes().all(|b| b.is_ascii_digit()).then_some(host),
        None => Some(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_repository_has_one_spelling() {
        for url in [
            "https://github.com/acme/churn",
            "https://github.com/acme/churn.git",
            "https://github.com/acme/churn.git/",
            "https://x-access-token:ghs_secret@github.com/acme/churn.git",
            "https://user:p%40ss@GitHub.com:443/acme/churn?token=secret#x",
            "http://github.com//acme/churn",
            "ssh://git@github.com/acme/churn.git",
            "ssh://git@ssh.github.com:443/acme/churn.git",
            "git+ssh://git@github.com:22/acme/churn",
            "git://github.com/acme/churn.git",
            "git@github.com:acme/churn.git",
            "git@github.com:/acme/churn",
            "github.com:acme/churn",
            " git@github.com.:acme/churn.git\n",
        ] {
            assert_eq!(normalise_remote(url).as_deref(), Some("github.com/acme/churn"), "{url}");
        }
        assert_eq!(
            normalise_remote("https://gitlab.example.com/group/sub/name.git").as_deref(),
            Some("gitlab.example.com/group/sub/name")
        );
        assert_eq!(normalise_remote("git@[::1]:a/b").as_deref(), Some("[::1]/a/b"));
        assert_eq!(normalise_remote("ssh://git@[::1]:2222/a/b").as_deref(), Some("[::1]/a/b"));
    }

    #[test]
    fn paths_and_riddles_are_no_remotes() {
        for url in [
            "",
            "/srv/git/churn.git",
            "../churn",
            "./a:b",
            "file:///srv/git/churn.git",
            "C:\\repos\\churn",
            "C:/repos/churn",
            "\\\\server\\share",
            "ext::sh -c true",
            "https://github.com",
            "https://github.com/",
            "https://user:pa/ss@github.com/acme/churn",
            "git@github.com:",
        ] {
            assert_eq!(normalise_remote(url), None, "{url}");
        }
    }
}
