//! The restore plan: the checks before a restore.

use serde::{Deserialize, Serialize};

use crate::id::ImageId;
use crate::text_enum::text_enum;

text_enum! {
    /// The result of a check.
    Verdict {
        /// The check passed.
        Ok = "ok",
        /// The restore is possible, with a restriction.
        Warn = "warn",
        /// The restore would fail.
        Fail = "fail",
    }
}

text_enum! {
    /// The subject of a check.
    CheckSubject {
        /// The state of the image.
        Image = "image",
        /// What the image lacks, or restores in another way.
        Contents = "contents",
        /// The name of the new instance.
        Name = "name",
        /// The PostgreSQL version.
        Version = "version",
        /// The extensions of the image's databases.
        Extensions = "extensions",
        /// The libraries that the source preloads.
        Preload = "preload",
        /// The image type.
        ImageType = "image_type",
        /// Free space on the shared disk.
        Disk = "disk",
        /// The size of the instance's volume.
        Volume = "volume",
        /// Who can reach the new instance.
        Network = "network",
    }
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Check {
    /// The subject.
    pub subject: CheckSubject,
    /// The result.
    pub verdict: Verdict,
    /// The finding, as a sentence.
    pub found: String,
    /// What to do, if anything.
    pub fix: Option<String>,
}

/// The result of planning a restore: the new instance and the checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RestorePlan {
    /// The image.
    pub image: ImageId,
    /// The name of the new instance.
    pub target: String,
    /// The major version of the new instance.
    pub major: Option<i32>,
    /// The estimated space that the new instance requires on its disk, in bytes.
    pub bytes: Option<i64>,
    /// The size of its volume in bytes, on platforms with volumes.
    pub volume_bytes: Option<i64>,
    /// The checks, failed ones first.
    pub checks: Vec<Check>,
}

impl RestorePlan {
    /// The number of checks with this result.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        self.checks.iter().filter(|check| check.verdict == verdict).count()
    }

    /// Whether no check failed.
    #[must_use]
    pub fn can_start(&self) -> bool {
        self.count(Verdict::Fail) == 0
    }
}
