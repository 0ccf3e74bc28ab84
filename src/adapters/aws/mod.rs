//! What every part of the cloud backend stands on: the clients of an account, how fast requests may come, when one is
//! tried again, and what an error of Amazon means in our words.
//!
//! Deliberately absent: what is asked of SageMaker (`adapters::sagemaker`) and of S3 (`adapters::s3`).

pub mod accounts;
pub mod actions;
pub mod credentials;
pub mod oidc;
pub mod pace;
pub mod policy;
pub mod probe;
pub mod refused;
pub mod session;
mod transport;

pub use self::accounts::Accounts;
pub use self::credentials::CredentialOptions;
pub use self::credentials::credentials_for;
pub use self::oidc::OidcEnvironment;
pub use self::pace::Kind;
pub use self::pace::Patience;
pub use self::refused::Class;
pub use self::refused::Refused;
pub use self::session::Session;
pub use self::session::SessionOptions;
