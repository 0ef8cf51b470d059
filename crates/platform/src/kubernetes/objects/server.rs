//! The objects of an instance.
