//! A page of a long list, cut and counted by SQL.

use serde::{Deserialize, Serialize};

/// Some rows of a list and how many there are in all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<T> {
    /// The rows of this page.
    pub rows: Vec<T>,
    /// How many rows the whole list has.
    pub total: i64,
    /// Which page this is; the first is 1.
    pub page: i64,
    /// How many rows a page has at most.
    pub per_page: i64,
}

impl<T> Page<T> {
    /// How many pages there are; an empty list has one.
    #[must_use]
    pub fn pages(&self) -> i64 {
        ((self.total + self.per_page - 1) / self.per_page.max(1)).max(1)
    }
}
