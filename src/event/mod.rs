//! What the CI host told us happened: runner variables and payload bytes in, a validated event out.
