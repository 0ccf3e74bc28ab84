//! The one integration binary.

mod events;
