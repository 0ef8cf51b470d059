//! Server functions: being written.
