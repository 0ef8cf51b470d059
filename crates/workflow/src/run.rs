//! The id of a run and the locks that it holds.

use uuid::Uuid;

/// The id of one execution of a workflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(pub Uuid);

impl std::fmt::Display for RunId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A named lock that a run holds from its start to its end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lock {
    pub(crate) key: String,
    pub(crate) shared: bool,
}

impl Lock {
    /// Conflicts with every other lock on the same key.
    pub fn exclusive(key: impl ToString) -> Self {
        Self { key: key.to_string(), shared: false }
    }

    /// Conflicts with exclusive locks on the same key.
    pub fn shared(key: impl ToString) -> Self {
        Self { key: key.to_string(), shared: true }
    }
}
