//! The restore wizard's check: what would go wrong, before anything is done.

use serde::{Deserialize, Serialize};

use crate::id::ImageId;
use crate::text_enum::text_enum;

text_enum! {
    /// How a check went.
    Verdict {
        /// Nothing in the way.
        Ok = "ok",
        /// Know this; it does not stop the restore.
        Warn = "warn",
        /// The restore would fail.
        Fail = "fail",
    }
}

text_enum! {
    /// What a check is about.
    CheckSubject {
        /// The image's state.
        Image = "image",
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

/// One thing that was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Check {
    /// What was checked.
    pub subject: CheckSubject,
    /// How it went.
    pub verdict: Verdict,
    /// What was found, in a sentence.
    pub found: String,
    /// What to do about it, where something is to be done.
    pub fix: Option<String>,
}

/// What a restore would do, and what stands in its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RestorePlan {
    /// The image.
    pub image: ImageId,
    /// The name of the instance to be.
    pub target: String,
    /// The major version that it will have.
    pub major: Option<i32>,
    /// Bytes that it will take, estimated from the source.
    pub bytes: Option<i64>,
    /// The size of its volume in bytes, where volumes have one.
    pub volume_bytes: Option<i64>,
    /// The checks, the gravest first.
    pub checks: Vec<Check>,
}

impl RestorePlan {
    /// Whether nothing stands in the way.
    #[must_use]
    pub fn may_go(&self) -> bool {
        self.checks.iter().all(|c| c.verdict != Verdict::Fail)
    }
}
