//! The volume of an instance: how large, of which class.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use super::super::{KubernetesConfig, names};
use super::quantity::{self, GIB};
use super::server::labels;
use crate::{Error, InstanceSpec, Result};

/// The claim of an instance's volume.
pub(crate) fn volume(
    spec: &InstanceSpec,
    config: &KubernetesConfig,
    template: &PersistentVolumeClaim,
) -> Result<PersistentVolumeClaim> {
    let mut claim = template.clone();
    claim.metadata.name = Some(names::instance_object(&spec.name));
    claim.metadata.namespace = Some(config.namespace.clone());
    claim.metadata.labels.get_or_insert_default().extend(labels(spec));
    let wanted = claim.spec.get_or_insert_default();
    if config.storage_class.is_some() {
        wanted.storage_class_name.clone_from(&config.storage_class);
    }
    let requests = wanted.resources.get_or_insert_default().requests.get_or_insert_with(BTreeMap::new);
    let template_size = requests.get("storage").and_then(quantity::bytes).unwrap_or_default();
    requests.insert("storage".to_owned(), quantity::quantity(size(spec, template_size)?));
    Ok(claim)
}

/// How large it is to be: as it was decided, else what the template asks for.
fn size(spec: &InstanceSpec, template: u64) -> Result<u64> {
    let Some(wanted) = spec.volume_bytes else { return Ok(template.max(GIB)) };
    u64::try_from(wanted)
        .ok()
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| Error::Impossible(format!("The volume of {} cannot have {wanted} bytes.", spec.name)))
}

#[cfg(test)]
mod tests {
    use super::super::server::tests::{config, spec};
    use super::*;
    use crate::kubernetes::templates::Templates;

    fn claim(spec: &InstanceSpec, config: &KubernetesConfig) -> Result<PersistentVolumeClaim> {
        volume(spec, config, &Templates::load(None).expect("the built-in ones").volume)
    }

    fn request(volume_bytes: Option<i64>) -> Result<String> {
        let claim = claim(&InstanceSpec { volume_bytes, ..spec() }, &config())?;
        let resources = claim.spec.expect("spec").resources.expect("resources");
        Ok(resources.requests.expect("requests")["storage"].0.clone())
    }

    #[test]
    fn a_volume_is_as_large_as_was_decided() {
        assert_eq!(request(None).expect("a size"), "10Gi", "the template's");
        assert_eq!(request(Some(2 << 30)).expect("a size"), "2Gi");
        assert_eq!(request(Some(1000)).expect("a size"), "1000");
        let error = request(Some(-1)).expect_err("no size");
        assert!(matches!(&error, Error::Impossible(words) if words.contains("-1 bytes")), "{error}");
    }

    #[test]
    fn the_class_is_the_configured_one_or_the_template_s() {
        let class = |config| claim(&spec(), &config).expect("a claim").spec.expect("spec").storage_class_name;
        assert_eq!(class(config()), None);
        let configured = KubernetesConfig { storage_class: Some("fast".to_owned()), ..config() };
        assert_eq!(class(configured).as_deref(), Some("fast"));
    }
}
