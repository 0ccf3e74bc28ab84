//! Objects in Amazon S3: copied by the service itself, never through this machine, and never overwritten.

mod artifacts;
pub mod datasets;

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
pub use self::keys::version_folder;
pub use self::datasets::S3Datasets;
pub use self::place::S3Place;
