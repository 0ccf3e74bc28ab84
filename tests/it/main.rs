//! The one integration binary.

mod configs;
