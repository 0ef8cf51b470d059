//! The Job and its input.
