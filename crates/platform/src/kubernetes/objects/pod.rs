//! The volumes of a pod and their mounts.

use k8s_openapi::api::core::v1::{Container, PodSpec, Volume, VolumeMount};

/// The pod's volume of this name; added if it does not exist.
pub(super) fn volume<'a>(pod: &'a mut PodSpec, name: &str) -> &'a mut Volume {
    let volumes = pod.volumes.get_or_insert_default();
    let at = volumes.iter().position(|volume| volume.name == name).unwrap_or(volumes.len());
    if at == volumes.len() {
        volumes.push(Volume { name: name.to_owned(), ..Volume::default() });
    }
    &mut volumes[at]
}

/// Mounts a volume; replaces its existing mounts.
pub(super) fn mount(container: &mut Container, volume: &str, path: &str, read_only: bool) {
    let mounts = container.volume_mounts.get_or_insert_default();
    mounts.retain(|mount| mount.name != volume);
    mounts.push(VolumeMount {
        name: volume.to_owned(),
        mount_path: path.to_owned(),
        read_only: Some(read_only),
        ..VolumeMount::default()
    });
}
