//! Objects in Amazon S3. Artifacts are copied by the service itself, never through this machine, and never overwritten;
//! small ones are read whole and written under a precondition, and the lease is one of them.

pub mod datasets;
pub mod lease;
pub mod objects;

mod artifacts;
mod copy;
mod hash;
mod keys;
mod look;
mod parts;
mod place;
mod sweep;
mod upload;

pub use self::artifacts::S3Artifacts;
pub use self::copy::CopiedObject;
pub use self::copy::CopyFailure;
pub use self::copy::CopyOptions;
pub use self::copy::CopySizes;
pub use self::copy::copy_object;
pub use self::datasets::S3Datasets;
pub use self::keys::version_folder;
pub use self::place::S3Place;
pub use self::upload::upload_file;
