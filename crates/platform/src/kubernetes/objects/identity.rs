//! The identity of a pod for its store: a projected token of its service account, which the agent exchanges for credentials.
//! All names are those that the webhooks of Azure and AWS use, so that an installed webhook changes nothing.

use k8s_openapi::api::core::v1::{
    Container, EnvVar, PodSpec, ProjectedVolumeSource, ServiceAccountTokenProjection, VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::pod::{mount, volume};
use crate::StoreIdentity;

/// A projected token: its volume, its file and its audience.
struct Token {
    volume: &'static str,
    directory: &'static str,
    file: &'static str,
    audience: &'static str,
}

const AZURE: Token = Token {
    volume: "azure-identity-token",
    directory: "/var/run/secrets/azure/tokens",
    file: "azure-identity-token",
    audience: "api://AzureADTokenExchange",
};
const AWS: Token = Token {
    volume: "aws-iam-token",
    directory: "/var/run/secrets/eks.amazonaws.com/serviceaccount",
    file: "token",
    audience: "sts.amazonaws.com",
};

/// The annotations by which the webhooks leave containers out, and what separates the names.
const KEPT_OUT: [(&str, &str); 2] =
    [("azure.workload.identity/skip-containers", ";"), ("eks.amazonaws.com/skip-containers", ",")];

/// Makes the webhooks project no token into the init containers, one of which executes what an image contains.
pub(super) fn keep_out(metadata: &mut ObjectMeta, pod: &PodSpec) {
    let names = pod.init_containers.iter().flatten().map(|container| container.name.as_str());
    let names: Vec<&str> = names.collect();
    let annotations = KEPT_OUT.map(|(annotation, separator)| (annotation.to_owned(), names.join(separator)));
    metadata.annotations.get_or_insert_default().extend(annotations);
}

/// Projects the token into the pod's first container, and sets the variables that describe the identity.
pub(super) fn project(identity: &StoreIdentity, metadata: &mut ObjectMeta, pod: &mut PodSpec, seconds: i64) {
    let (token, variables) = match identity {
        StoreIdentity::Azure { client_id, tenant_id, authority_host } => {
            let label = ("azure.workload.identity/use".to_owned(), "true".to_owned());
            metadata.labels.get_or_insert_default().extend([label]);
            let variables = [
                ("AZURE_CLIENT_ID", client_id.clone()),
                ("AZURE_TENANT_ID", tenant_id.clone()),
                ("AZURE_AUTHORITY_HOST", authority_host.clone()),
                ("AZURE_FEDERATED_TOKEN_FILE", Some(AZURE.path())),
            ];
            (AZURE, variables.to_vec())
        }
        StoreIdentity::Aws { role_arn, sts_endpoint } => {
            let variables = [
                ("AWS_ROLE_ARN", Some(role_arn.clone())),
                ("AWS_ENDPOINT_URL_STS", sts_endpoint.clone()),
                ("AWS_WEB_IDENTITY_TOKEN_FILE", Some(AWS.path())),
            ];
            (AWS, variables.to_vec())
        }
    };
    volume(pod, token.volume).projected = Some(token.source(seconds));
    if let Some(container) = pod.containers.first_mut() {
        mount(container, token.volume, token.directory, true);
        for (name, value) in variables {
            set(container, name, value);
        }
    }
}

impl Token {
    fn path(&self) -> String {
        format!("{}/{}", self.directory, self.file)
    }

    fn source(&self, seconds: i64) -> ProjectedVolumeSource {
        let token = ServiceAccountTokenProjection {
            audience: Some(self.audience.to_owned()),
            expiration_seconds: Some(seconds),
            path: self.file.to_owned(),
        };
        let source = VolumeProjection { service_account_token: Some(token), ..VolumeProjection::default() };
        ProjectedVolumeSource { sources: Some(vec![source]), ..ProjectedVolumeSource::default() }
    }
}

/// Sets a variable; without a value, it is left to the webhook or the agent.
fn set(container: &mut Container, name: &str, value: Option<String>) {
    let Some(value) = value else { return };
    let variables = container.env.get_or_insert_default();
    variables.retain(|variable| variable.name != name);
    variables.push(EnvVar { name: name.to_owned(), value: Some(value), ..EnvVar::default() });
}
