//! One page of a list.

use serde::{Deserialize, Serialize};

/// One page of a list, with the size of the whole list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<T> {
    /// The rows of this page.
    pub rows: Vec<T>,
    /// The number of rows of the whole list.
    pub total: i64,
    /// The number of the page, from 1.
    pub page: i64,
    /// The maximum number of rows of a page.
    pub per_page: i64,
}

impl<T> Page<T> {
    /// The number of pages. An empty list has one.
    #[must_use]
    pub fn pages(&self) -> i64 {
        ((self.total + self.per_page - 1) / self.per_page.max(1)).max(1)
    }
}
