//! Objects in Amazon S3: copied by the service itself, never through this machine, and never overwritten.

pub mod datasets;

mod copy;
mod look;
mod parts;
mod place;

pub use self::copy::CopiedObject;
pub use self::copy::CopyFailure;
pub use self::copy::CopyOptions;
pub use self::copy::CopySizes;
pub use self::copy::copy_object;
pub use self::datasets::S3Datasets;
pub use self::place::S3Place;
