//! One watch that all share.
use kube::Client;
/// Tells when something changed.
#[derive(Clone)]
pub(super) struct Watch;
impl Watch {
    pub(super) fn start(_: Client, _: &str) -> Self {
        Self
    }
}
