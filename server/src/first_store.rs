//! The first store of a new state database.

use model::StoreAuth;

use crate::open_platform::OpenPlatform;

/// The address of the first store, and how it is opened: a store of a cloud with the identity that this pod has, because jobs
/// have no other part of its environment. `url` is the one that is set; without it, a local platform has a directory.
pub(crate) fn of(url: Option<String>, platform: &OpenPlatform) -> Option<(String, StoreAuth)> {
    let url = url.or_else(|| platform.store_url())?;
    let auth = match platform {
        OpenPlatform::Local(_) => StoreAuth::Environment,
        OpenPlatform::Kubernetes(_) => identity(&url, |name| std::env::var(name).ok()),
    };
    Some((url, auth))
}

/// How a store is opened by the identity of a pod, which the webhooks of AKS and EKS describe in its environment.
fn identity(url: &str, variable: impl Fn(&str) -> Option<String>) -> StoreAuth {
    let azure = url.starts_with("az://") && variable("AZURE_FEDERATED_TOKEN_FILE").is_some();
    let aws = variable("AWS_ROLE_ARN")
        .filter(|_| url.starts_with("s3://") && variable("AWS_WEB_IDENTITY_TOKEN_FILE").is_some());
    match aws {
        // The ids are those of the environment of each pod.
        _ if azure => StoreAuth::AzureIdentity { client_id: None, tenant_id: None, authority_host: None },
        Some(role_arn) => StoreAuth::AwsIdentity { role_arn, sts_endpoint: None },
        None => StoreAuth::Environment,
    }
}

#[cfg(test)]
mod tests {
    use model::StoreAuthKind;

    use super::*;

    #[test]
    fn first_store_is_opened_with_the_identity_of_the_pod() {
        let aks = |name: &str| (name == "AZURE_FEDERATED_TOKEN_FILE").then(|| "/token".to_owned());
        let eks = |name: &str| match name {
            "AWS_ROLE_ARN" => Some("arn:aws:iam::1:role/toygres".to_owned()),
            "AWS_WEB_IDENTITY_TOKEN_FILE" => Some("/token".to_owned()),
            _ => None,
        };
        let kind = |url: &str, variable: &dyn Fn(&str) -> Option<String>| identity(url, variable).kind();
        assert_eq!(kind("az://account/images", &aks), StoreAuthKind::AzureIdentity);
        assert_eq!(kind("s3://images", &eks), StoreAuthKind::AwsIdentity);
        assert_eq!(kind("s3://images", &aks), StoreAuthKind::Environment);
        assert_eq!(kind("az://account/images", &eks), StoreAuthKind::Environment);
        assert_eq!(kind("pvc://images", &aks), StoreAuthKind::Environment);
    }
}
