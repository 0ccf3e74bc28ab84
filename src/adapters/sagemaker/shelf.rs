//! Small objects of ours in the bucket: read, made once, listed, removed.
//!
//! Made once means: under the precondition that nothing is there yet. What exists already is never written again.

use crate::adapters::aws::Class;
use crate::adapters::aws::Kind;
use crate::adapters::aws::Refused;
use crate::adapters::aws::Session;
use crate::adapters::s3::datasets::broken;
use crate::ports::PortError;
use crate::ports::PortErrorKind;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ServerSideEncryption;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;
use std::sync::Arc;

/// The objects of one account's bucket.
#[derive(Clone, Copy)]
pub(super) struct Shelf<'a> {
    pub(super) session: &'a Arc<Session>,
}

impl<'a> Shelf<'a> {
    pub(super) fn of(session: &'a Arc<Session>) -> Self {
        Self { session }
    }

    fn bucket(&self) -> &'a str {
        &self.session.place.bucket
    }

    /// Returns the address of a key, for people and for SageMaker.
    pub(super) fn uri(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.bucket())
    }

    /// Reads an object. `None`: there is none.
    pub(super) async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Refused> {
        const ACTION: &str = "s3:GetObject";
        let s3 = &self.session.s3;
        let got = self.session.call(Kind::Read, ACTION, || s3.get_object().bucket(self.bucket()).key(key).send()).await;
        match got {
            Ok(object) => match object.body.collect().await {
                Ok(bytes) => Ok(Some(bytes.to_vec())),
                Err(error) => Err(broken(ACTION, &error)),
            },
            Err(refused) if is_no_object(&refused) => Ok(None),
            Err(refused) => Err(refused),
        }
    }

    /// Reads one of our records. `None`: there is none.
    pub(super) async fn get_json<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, PortError> {
        let reading = || format!("read {}", self.uri(key));
        let Some(bytes) = self.get(key).await.map_err(|refused| refused.into_port(reading()))? else {
            return Ok(None);
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            PortError::because(PortErrorKind::Corrupt, reading(), error)
                .hint("It is not what this release writes: was it made by a newer one, or changed by hand?")
        })
    }

    /// Makes an object. `false`: one was there already, and stays as it is.
    pub(super) async fn put_new(&self, key: &str, content: &[u8]) -> Result<bool, Refused> {
        let put = || self.put(key).body(ByteStream::from(content.to_vec())).send();
        made(self.session.call(Kind::Repeatable, "s3:PutObject", put).await.map(drop))
    }

    /// Makes one of our records. `false`: one was there already.
    pub(super) async fn put_new_json<T: Serialize>(&self, key: &str, value: &T) -> Result<bool, PortError> {
        let doing = || format!("write {}", self.uri(key));
        let text =
            serde_json::to_vec_pretty(value).map_err(|error| PortError::because(PortErrorKind::Bug, doing(), error))?;
        self.put_new(key, &text).await.map_err(|refused| refused.into_port(doing()))
    }

    /// Makes an object of a file. `false`: one was there already.
    pub(super) async fn put_new_file(&self, key: &str, file: &Path) -> Result<bool, PortError> {
        let doing = || format!("upload {} to {}", file.display(), self.uri(key));
        let unreadable = |error: String| PortError::because(PortErrorKind::Storage, doing(), error);
        // Opened once before anything is sent: a file that cannot be read is no fault of S3.
        ByteStream::from_path(file).await.map_err(|error| unreadable(error.to_string()))?;
        let put = || async {
            let body = ByteStream::from_path(file).await.map_err(aws_sdk_s3::error::SdkError::construction_failure)?;
            self.put(key).body(body).send().await
        };
        let put = self.session.call(Kind::Repeatable, "s3:PutObject", put).await.map(drop);
        made(put).map_err(|refused| refused.into_port(doing()))
    }

    fn put(&self, key: &str) -> aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder {
        let put = self.session.s3.put_object().bucket(self.bucket()).key(key).if_none_match("*");
        match &self.session.place.kms_key {
            Some(kms) => put.server_side_encryption(ServerSideEncryption::AwsKms).ssekms_key_id(kms),
            None => put,
        }
    }

    /// Tells whether there is such an object.
    pub(super) async fn has(&self, key: &str) -> Result<bool, Refused> {
        let s3 = &self.session.s3;
        let head =
            self.session.call(Kind::Read, "s3:GetObject", || s3.head_object().bucket(self.bucket()).key(key).send());
        match head.await {
            Ok(_) => Ok(true),
            Err(refused) if refused.class == Class::NotFound => Ok(false),
            Err(refused) => Err(refused),
        }
    }

    /// Removes an object. One that is not there is no error.
    pub(super) async fn remove(&self, key: &str) -> Result<(), Refused> {
        let s3 = &self.session.s3;
        let gone = self
            .session
            .call(Kind::Repeatable, "s3:DeleteObject", || s3.delete_object().bucket(self.bucket()).key(key).send())
            .await;
        match gone {
            Err(refused) if !is_no_object(&refused) => Err(refused),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Lists the last parts of the keys below a prefix, in byte order, as long as `wanted` says so.
    pub(super) async fn list(
        &self,
        prefix: &str,
        wanted: impl Fn(&str) -> bool + Send + Sync,
    ) -> Result<Vec<String>, Refused> {
        let s3 = &self.session.s3;
        let mut found = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let page = self
                .session
                .call(Kind::Read, "s3:ListBucket", || {
                    let next = next.clone();
                    s3.list_objects_v2().bucket(self.bucket()).prefix(prefix).set_continuation_token(next).send()
                })
                .await?;
            for name in page.contents().iter().filter_map(|object| object.key()?.strip_prefix(prefix)) {
                if !wanted(name) {
                    return Ok(found);
                }
                found.push(name.to_owned());
            }
            next = page.next_continuation_token().map(str::to_owned);
            if next.is_none() {
                return Ok(found);
            }
        }
    }
}

fn is_no_object(refused: &Refused) -> bool {
    refused.class == Class::NotFound && refused.code.as_deref() != Some("NoSuchBucket")
}

fn made(put: Result<(), Refused>) -> Result<bool, Refused> {
    match put {
        Ok(()) => Ok(true),
        Err(refused) if refused.class == Class::Precondition => Ok(false),
        Err(refused) => Err(refused),
    }
}
