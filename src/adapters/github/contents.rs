//! The default branch, branch heads and files at a ref.

use crate::adapters::github::GitHub;
use crate::adapters::github::client::Call;
use crate::adapters::github::client::encoded;
use crate::adapters::github::error::Refusal;
use crate::adapters::github::error::Subject;
use crate::adapters::github::wire;
use crate::model::git::BranchName;
use crate::model::git::CommitSha;
use crate::ports::error::PortError;
use crate::ports::error::PortErrorKind;

impl GitHub {
    pub(super) async fn read_default_branch(&self) -> Result<BranchName, PortError> {
        let call = Call::get(self.route(""), "find out which branch is the default one", Subject::Repository);
        let found: wire::WholeRepository = self.client.send(&call).await?.read(&call)?;
        BranchName::parse(&found.default_branch).map_err(|why| Refusal::odd(&call, why.to_string()))
    }

    pub(super) async fn read_branch_head(&self, branch: &BranchName) -> Result<Option<CommitSha>, PortError> {
        let doing = format!("read the head of branch {branch}");
        // Not `/branches/`: that one answers for a renamed branch with the new one.
        let route = self.route(&format!("/git/ref/heads%2F{}", encoded(branch.as_str())));
        let call = Call::get(route, &doing, Subject::Contents);
        let answer = self.client.send(&call).await?;
        match answer.status.as_u16() {
            404 => {
                self.must_be_visible(&doing).await?;
                Ok(None)
            }
            // The repository has no commit at all.
            409 => Ok(None),
            _ => {
                let head: wire::GitRef = answer.read(&call)?;
                let sha = CommitSha::parse(&head.object.sha).map_err(|why| Refusal::odd(&call, why.to_string()))?;
                Ok(Some(sha))
            }
        }
    }

    pub(super) async fn read_file_at(&self, path: &str, ref_text: &str) -> Result<Option<String>, PortError> {
        let doing = format!("read {path} at {ref_text}");
        let parts: Vec<String> = path.split('/').filter(|part| !part.is_empty()).map(encoded).collect();
        if parts.is_empty() || path.split('/').any(|part| matches!(part, "." | "..")) {
            return Err(PortError::because(PortErrorKind::Bug, &doing, "it is not a path inside the repository"));
        }
        let route = self.route(&format!("/contents/{}?ref={}", parts.join("/"), encoded(ref_text)));
        let call = Call::get(route, &doing, Subject::Contents);
        let answer = self.client.send(&call).await?;
        let refuse = |why: String| {
            PortError::because(PortErrorKind::Configuration, &doing, why)
                .hint("Make it a text file of its own in the repository.")
        };
        if answer.status.as_u16() == 404 {
            // Which of the two is missing is only said in words: "No commit found for the ref …".
            if answer.error().is_some_and(|error| error.message().starts_with("No commit found")) {
                return Err(Refusal::of(&call, &answer));
            }
            self.must_be_visible(&doing).await?;
            return Ok(None);
        }
        // A folder is answered with a list of what is in it.
        let value: serde_json::Value = answer.read(&call)?;
        if value.is_array() {
            return Err(refuse("it is a folder".to_owned()));
        }
        let content: wire::Content =
            serde_json::from_value(value).map_err(|why| Refusal::not_understood(&call, why))?;
        match content.kind.as_str() {
            "file" => {}
            "dir" => return Err(refuse("it is a folder".to_owned())),
            "submodule" => return Err(refuse("it is a submodule, and belongs to another repository".to_owned())),
            "symlink" => {
                let target = content.target.unwrap_or_default();
                return Err(refuse(format!("it is a symbolic link that leads nowhere in the repository ({target})")));
            }
            other => return Err(refuse(format!("it is not a file but a `{other}`"))),
        }
        if content.encoding.as_deref() != Some("base64") {
            return Err(refuse(format!("it has {} bytes, and GitHub hands out at most 1 MB this way", content.size)));
        }
        let bytes = decode(content.content.as_deref().unwrap_or_default())
            .ok_or_else(|| Refusal::odd(&call, "the content is not base64".to_owned()))?;
        String::from_utf8(bytes).map(Some).map_err(|_| refuse("it is not UTF-8 text".to_owned()))
    }
}

/// Decodes base64 as GitHub writes it: the standard alphabet, padded, broken into lines.
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held, mut padding) = (0u32, 0u32, 0u32);
    for c in text.bytes().filter(|c| !c.is_ascii_whitespace()) {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => {
                padding += 1;
                continue;
            }
            _ => return None,
        };
        if padding > 0 {
            return None;
        }
        bits = (bits << 6) | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from((bits >> held) & 0xff).ok()?);
        }
    }
    (padding <= 2 && held < 6).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn base64_of_the_rfc() {
        for (text, plain) in [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v\n", "foo"), ("Zm9v\nYmFy", "foobar")] {
            assert_eq!(decode(text).as_deref(), Some(plain.as_bytes()), "{text}");
        }
        for bad in ["Zg==Zg", "Z", "Zm9*", "===="] {
            assert!(decode(bad).is_none(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_decoded_or_refused(text in "\\PC{0,64}") {
            let _ = decode(&text);
        }
    }
}
