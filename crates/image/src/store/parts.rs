//! The sizes of the parts of an upload. Remote stores limit their number, and a part is held in memory until it is uploaded:
//! parts grow with the object.

/// The most parts of one object that all remote stores accept (the limit of S3).
pub(crate) const MOST: u64 = 10_000;
/// The size of the parts of an upload to a directory, in bytes.
const LOCAL: usize = 1024 * 1024;
/// The smallest part that all remote stores accept (the limit of S3), in bytes.
const SMALLEST: usize = 5 * 1024 * 1024;
/// How many parts have which size, in bytes.
const REMOTE: [(u64, usize); 5] = [
    (1000, SMALLEST),
    (1000, SMALLEST * 2),
    (2000, SMALLEST * 4),
    (3000, SMALLEST * 8),
    (3000, SMALLEST * 16),
];

/// Which parts the uploads to a store have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parts {
    /// Any number of small ones.
    Local,
    /// As many as remote stores accept.
    Remote,
    /// As [`Parts::Remote`], but of one byte.
    #[cfg(test)]
    Tiny,
}

impl Parts {
    /// The size in bytes of part `number`, from 0.
    pub(super) fn size(self, number: u64) -> usize {
        let mut end = 0;
        match self {
            Self::Local => LOCAL,
            Self::Remote => {
                let sizes = REMOTE.iter().find(|(count, _)| {
                    end += count;
                    number < end
                });
                sizes.map_or(SMALLEST * 16, |(_, size)| *size)
            }
            #[cfg(test)]
            Self::Tiny => 1,
        }
    }

    /// The size in bytes of the largest object, if it is limited.
    pub(super) fn largest_object(self) -> Option<u64> {
        match self {
            Self::Local => None,
            Self::Remote => Some(REMOTE.iter().map(|(count, size)| count * *size as u64).sum()),
            #[cfg(test)]
            Self::Tiny => Some(MOST),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn largest_object_of_a_remote_store_has_405_gib() {
        assert_eq!(Parts::Remote.largest_object().map(|bytes| bytes >> 30), Some(405));
        assert_eq!(REMOTE.iter().map(|(count, _)| count).sum::<u64>(), MOST);
        let sizes = [0, 999, 1000, 3999, 4000, 9999].map(|number| Parts::Remote.size(number) / SMALLEST);
        assert_eq!(sizes, [1, 1, 2, 4, 8, 16]);
    }
}
