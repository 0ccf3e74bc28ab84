//! Objects in Amazon S3: small ones that are read whole and written under a precondition, and the lease among them.

pub mod lease;
pub mod objects;
