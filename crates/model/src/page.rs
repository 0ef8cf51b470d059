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

/// The number of an existing page: that of the last one if the wanted one is behind it.
#[must_use]
pub fn existing_page(wanted: i64, total: i64, per_page: i64) -> i64 {
    wanted.clamp(1, pages(total, per_page))
}

fn pages(total: i64, per_page: i64) -> i64 {
    let per_page = per_page.max(1);
    (total.saturating_add(per_page - 1) / per_page).max(1)
}

impl<T> Page<T> {
    /// The number of pages. An empty list has one.
    #[must_use]
    pub fn pages(&self) -> i64 {
        pages(self.total, self.per_page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_behind_the_last_is_the_last() {
        for (wanted, total, expected) in
            [(1, 0, 1), (9, 0, 1), (0, 30, 1), (2, 30, 2), (3, 30, 2), (i64::MAX, 26, 2)]
        {
            assert_eq!(existing_page(wanted, total, 25), expected, "{wanted} of {total} rows");
        }
    }
}
