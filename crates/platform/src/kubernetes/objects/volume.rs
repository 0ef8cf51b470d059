//! The PersistentVolumeClaim of an instance.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use model::{Failure, FailureCode};

use super::super::config::KubernetesConfig;
use super::super::names;
use super::quantity::{self, GIB};
use super::server::labels;
use crate::{InstanceSpec, Result};

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
    let claim_spec = claim.spec.get_or_insert_default();
    if config.storage_class.is_some() {
        claim_spec.storage_class_name.clone_from(&config.storage_class);
    }
    let requests = claim_spec.resources.get_or_insert_default().requests.get_or_insert_with(BTreeMap::new);
    let template_size = requests.get("storage").and_then(quantity::bytes).unwrap_or_default();
    requests.insert("storage".to_owned(), quantity::quantity(size(spec, template_size)?));
    Ok(claim)
}

/// The size in bytes: the instance's own, or that of the template.
fn size(spec: &InstanceSpec, template: u64) -> Result<u64> {
    let Some(requested) = spec.volume_bytes else { return Ok(template.max(GIB)) };
    let size = u64::try_from(requested).ok().filter(|bytes| *bytes > 0);
    Ok(size.ok_or_else(|| {
        let detail = format!("a volume cannot have {requested} bytes");
        Failure::new(FailureCode::PlatformUnsupported, detail).on(&*spec.name)
    })?)
}

#[cfg(test)]
mod tests {
    use super::super::server::tests::{config, spec};
    use super::*;
    use crate::kubernetes::templates::Templates;

    fn claim(spec: &InstanceSpec, config: &KubernetesConfig) -> Result<PersistentVolumeClaim> {
        volume(spec, config, &Templates::load(None).expect("the built-in templates").volume)
    }

    fn request(volume_bytes: Option<i64>) -> Result<String> {
        let claim = claim(&InstanceSpec { volume_bytes, ..spec() }, &config())?;
        let resources = claim.spec.expect("spec").resources.expect("resources");
        Ok(resources.requests.expect("requests")["storage"].0.clone())
    }

    #[test]
    fn requested_size_wins_over_the_template() {
        assert_eq!(request(None).expect("a size"), "10Gi", "that of the template");
        assert_eq!(request(Some(2 << 30)).expect("a size"), "2Gi");
        assert_eq!(request(Some(1000)).expect("a size"), "1000");
        let error = request(Some(-1)).expect_err("not a size");
        assert_eq!(error.code(), FailureCode::PlatformUnsupported);
        assert_eq!(error.failure().subject.as_deref(), Some("orders"));
    }

    #[test]
    fn configured_storage_class_wins_over_the_template() {
        let class = |config| claim(&spec(), &config).expect("a claim").spec.expect("spec").storage_class_name;
        assert_eq!(class(config()), None);
        let configured = KubernetesConfig { storage_class: Some("fast".to_owned()), ..config() };
        assert_eq!(class(configured).as_deref(), Some("fast"));
    }
}
