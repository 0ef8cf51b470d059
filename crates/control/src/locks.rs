//! The keys of the locks that runs hold.

use model::{ImageId, InstanceId};

/// The key of the lock on an instance.
pub(crate) fn instance_key(id: InstanceId) -> String {
    format!("instance/{id}")
}

/// The key of the lock on an image.
pub(crate) fn image_key(id: ImageId) -> String {
    format!("image/{id}")
}
