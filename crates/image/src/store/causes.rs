//! The chain of causes of an error.

use std::error::Error;
use std::io;

/// The error and its causes, outermost first. Unlike [`Error::source`], it includes the errors that an [`io::Error`] wraps,
/// such as those of TLS.
pub(crate) fn of<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        }
    })
}
