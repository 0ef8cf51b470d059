//! Secrets of the cluster that an administrator made readable.
use super::KubernetesPlatform;
use crate::{Result, Secret};
use std::collections::BTreeMap;
impl KubernetesPlatform {
    pub(super) async fn readable_secret(&self, _: &str, _: &str) -> Result<BTreeMap<String, Secret>> {
        todo!()
    }
}
