#!/usr/bin/env bash
# Deploys Toygres to an AKS cluster with a storage account. Existing resources are kept: run it again after a failure and to
# upgrade.
set -euo pipefail

usage() {
  cat <<'USAGE'
Usage: deploy/deploy-to-aks.sh --resource-group GROUP --cluster NAME --storage-account NAME (--acr NAME | --image REF) [options]

  --resource-group GROUP   created if it is missing; contains the cluster, the storage account and the identities
  --location REGION        region of created resources [default: westeurope]
  --cluster NAME           an existing AKS cluster; the OIDC issuer and workload identity are enabled if they are not
  --storage-account NAME   created if it is missing
  --container NAME         storage container for images, created if it is missing [default: toygres-images]
  --acr NAME               a container registry: the container image is built from this repository and pushed to it
  --image REF              instead of --acr: a container image that the cluster can pull
  --public-url URL         the address that users enter, such as the https address of your ingress [default: a port-forward]
  --dns-label LABEL        a load balancer at http://LABEL.REGION.cloudapp.azure.com (not encrypted: for trials)
  --subscription ID        [default: the current subscription of az]
  --dry-run                print each command and each file; call nothing
  --help

Optional environment variables: DATABASE_URL (your own PostgreSQL for the state database; otherwise one is created in the
cluster), TOYGRES_ADMIN_USERNAME and TOYGRES_ADMIN_PASSWORD (the first account; otherwise a password is generated).
Requires az (after az login) and kubectl; with --acr also cargo.
USAGE
}

fail() { echo "error: $*" >&2; exit 1; }

group='' location=westeurope cluster='' account='' container=toygres-images acr='' image='' public_url='' dns_label=''
subscription='' dry_run=''
while (($#)); do
  option=$1
  case $option in
    --help) usage; exit ;;
    --dry-run) dry_run=yes; shift; continue ;;
  esac
  (($# > 1)) || fail "$option requires a value (see --help)"
  case $option in
    --resource-group) group=$2 ;;
    --location) location=$2 ;;
    --cluster) cluster=$2 ;;
    --storage-account) account=$2 ;;
    --container) container=$2 ;;
    --acr) acr=$2 ;;
    --image) image=$2 ;;
    --public-url) public_url=$2 ;;
    --dns-label) dns_label=$2 ;;
    --subscription) subscription=$2 ;;
    *) fail "unknown option $option (see --help)" ;;
  esac
  shift 2
done
[[ -n $group ]] || fail "--resource-group is required"
[[ -n $cluster ]] || fail "--cluster is required"
[[ -n $account ]] || fail "--storage-account is required"
[[ -n $acr || -n $image ]] || fail "--acr (a registry to build for) or --image (an existing container image) is required"
[[ -z $public_url || -z $dns_label ]] || fail "--public-url and --dns-label are mutually exclusive"
# matches OPTION VALUE PATTERN DESCRIPTION: rejects a value that Azure would reject. An empty value is accepted.
matches() { [[ -z $2 || $2 =~ ^$3$ ]] || fail "$1 must be $4, not: $2"; }
matches --storage-account "$account" '[a-z0-9]{3,24}' "3 to 24 lowercase letters and digits"
matches --container "$container" '[a-z0-9](-?[a-z0-9]){2,62}' "3 to 63 lowercase letters, digits and single hyphens"
matches --acr "$acr" '[a-zA-Z0-9]{5,50}' "the name of a registry, 5 to 50 letters and digits"
matches --image "$image" '[^[:space:]]+' "one word without spaces"
matches --dns-label "$dns_label" '[a-z][a-z0-9-]{1,61}[a-z0-9]' "3 to 63 lowercase letters, digits and hyphens"
matches --public-url "$public_url" 'https?://[^[:space:]/]+/?' "https://HOST or http://HOST[:PORT]"

here=$(cd "$(dirname "$0")" && pwd)
system=toygres-system managed=toygres-managed
umask 077
work=$(mktemp -d)
# A dry run keeps its files, so that they can be inspected.
[[ -n $dry_run ]] || trap 'rm -rf "$work"' EXIT

exec 3>&1
step() { printf '\n== %s\n' "$*"; }
# Prints a command to the original standard output, also inside of a command substitution.
show() { { printf '+'; printf ' %q' "$@"; echo; } >&3; }
# run COMMAND…: executes a command that changes something; a dry run only prints it.
run() { show "$@"; [[ -n $dry_run ]] || "$@"; }
# ask PLACEHOLDER COMMAND…: prints the output of a query; a dry run prints the placeholder.
ask() {
  local placeholder=$1; shift
  show "$@"
  if [[ -n $dry_run ]]; then echo "$placeholder"; else "$@"; fi
}
# there COMMAND…: whether a resource exists. az exits with 3 if it does not; every other failure ends the script.
there() {
  local status=0
  show "$@"
  [[ -z $dry_run ]] || return 1
  "$@" >/dev/null 2>"$work/error" || status=$?
  case $status in
    0) return 0 ;;
    3) return 1 ;;
    *) cat "$work/error" >&2; exit "$status" ;;
  esac
}
# grant PRINCIPAL ROLE SCOPE: assigns the role unless it is assigned.
grant() {
  local has
  has=$(ask '' az role assignment list --scope "$3" -o tsv \
    --query "[?principalId=='$1' && roleDefinitionName=='$2'].id")
  [[ -n $has ]] || run az role assignment create --assignee-object-id "$1" --assignee-principal-type ServicePrincipal \
    --role "$2" --scope "$3" -o none
}

step "Checking"
if [[ -z $dry_run ]]; then
  for program in az kubectl; do
    command -v "$program" >/dev/null || fail "$program is not installed"
  done
fi
[[ -z $subscription ]] || run az account set --subscription "$subscription"
ask '<subscription>' az account show --query id -o tsv >/dev/null || fail "az is not logged in. Run: az login"

step "Resource group, storage account and container"
there az group show --name "$group" -o none || run az group create --name "$group" --location "$location" -o none
there az storage account show --resource-group "$group" --name "$account" -o none ||
  run az storage account create --resource-group "$group" --name "$account" --location "$location" --sku Standard_ZRS \
    --kind StorageV2 --min-tls-version TLS1_2 --allow-blob-public-access false -o none
there az storage container-rm show --resource-group "$group" --storage-account "$account" --name "$container" -o none ||
  run az storage container-rm create --resource-group "$group" --storage-account "$account" --name "$container" -o none
account_id=$(ask '<storage account id>' az storage account show --resource-group "$group" --name "$account" --query id -o tsv)
scope=$account_id/blobServices/default/containers/$container

step "Cluster: OIDC issuer and workload identity"
there az aks show --resource-group "$group" --name "$cluster" -o none || [[ -n $dry_run ]] ||
  fail "cluster $cluster does not exist in $group. Create it: az aks create -g $group -n $cluster --enable-oidc-issuer --enable-workload-identity"
enabled=$(ask '' az aks show --resource-group "$group" --name "$cluster" -o tsv \
  --query 'oidcIssuerProfile.enabled && securityProfile.workloadIdentity.enabled')
[[ $enabled == true ]] || run az aks update --resource-group "$group" --name "$cluster" --enable-oidc-issuer \
  --enable-workload-identity -o none
issuer=$(ask '<issuer>' az aks show --resource-group "$group" --name "$cluster" --query oidcIssuerProfile.issuerUrl -o tsv)

step "Identities of the server and of its jobs"
# identity NAME NAMESPACE: a managed identity for the service account of that name, with write access to the storage container.
identity() {
  local name=$1 namespace=$2 principal has
  local subject=system:serviceaccount:$namespace:$name
  there az identity show --resource-group "$group" --name "$name" -o none ||
    run az identity create --resource-group "$group" --name "$name" --location "$location" -o none
  # Compares the issuer, because a cluster that was created again under its old name has another one.
  has=$(ask '' az identity federated-credential list --resource-group "$group" --identity-name "$name" -o tsv \
    --query "[?issuer=='$issuer' && subject=='$subject'].name")
  [[ -n $has ]] || run az identity federated-credential create --resource-group "$group" --identity-name "$name" \
    --name "$cluster" --issuer "$issuer" --subject "$subject" --audiences api://AzureADTokenExchange -o none
  principal=$(ask "<principal of $name>" az identity show --resource-group "$group" --name "$name" --query principalId -o tsv)
  grant "$principal" 'Storage Blob Data Contributor' "$scope"
}
identity toygres-server "$system"
# Signs for jobs that only read. The role applies to a storage account, and gives no access to data.
server_principal=$(ask '<principal of toygres-server>' az identity show --resource-group "$group" --name toygres-server --query principalId -o tsv)
grant "$server_principal" 'Storage Blob Delegator' "$account_id"
identity toygres-job "$managed"
server_id=$(ask '<client of toygres-server>' az identity show --resource-group "$group" --name toygres-server --query clientId -o tsv)
job_id=$(ask '<client of toygres-job>' az identity show --resource-group "$group" --name toygres-job --query clientId -o tsv)

if [[ -z $image ]]; then
  step "Container image"
  version=$(git -C "$here" describe --always --dirty 2>/dev/null || echo unversioned-dirty)
  # Uncommitted changes get a new tag each time, because pods are replaced only when the name of their image changes.
  [[ $version != *-dirty ]] || version+=-$(date -u +%Y%m%d%H%M%S)
  # An existing tag of a commit does not change.
  if ! there az acr repository show --name "$acr" --image "toygres:$version" -o none; then
    # `cargo xtask` works only inside of the repository.
    cd "$here/.."
    run cargo xtask image --release --context-only
    run az acr build --registry "$acr" --image "toygres:$version" "$here/../target/image"
  fi
  # A tag can be moved; a digest cannot.
  digest=$(ask '<digest>' az acr repository show --name "$acr" --image "toygres:$version" --query digest -o tsv)
  image=$acr.azurecr.io/toygres@$digest
  kubelet=$(ask '<kubelet>' az aks show --resource-group "$group" --name "$cluster" \
    --query identityProfile.kubeletidentity.objectId -o tsv)
  registry=$(ask '<registry id>' az acr show --name "$acr" --query id -o tsv)
  grant "$kubelet" AcrPull "$registry"
fi

step "Namespaces and secrets"
# A separate kubeconfig, so that the user's own and its current context do not change.
export KUBECONFIG=$work/kubeconfig
run az aks get-credentials --resource-group "$group" --name "$cluster" --file "$KUBECONFIG"
run kubectl apply --server-side -f "$here/base/namespaces.yaml"
has=$(ask '' kubectl --namespace "$system" get secret toygres-secrets --ignore-not-found -o name)
if [[ -z $has ]]; then
  run "$here/make-secrets" "$work/secrets.env"
  run kubectl --namespace "$system" create secret generic toygres-secrets --from-env-file "$work/secrets.env"
fi
# Tests only whether the key exists: a state database in the cluster has a generated password.
own_cms=$(ask "$([[ -n ${DATABASE_URL:-} ]] || echo yes)" kubectl --namespace "$system" get secret toygres-secrets \
  -o go-template='{{if .data.CMS_PASSWORD}}yes{{end}}')

step "Toygres"
if [[ -n $dns_label ]]; then
  region=$(ask '<region>' az aks show --resource-group "$group" --name "$cluster" --query location -o tsv)
  public_url=http://$dns_label.$region.cloudapp.azure.com
fi
# A copy of the overlay with the values of this deployment.
cp -R "$here" "$work/deploy"
overlay=$work/deploy/overlays/aks
printf '%s\n' "TOYGRES_IMAGE=$image" "TOYGRES_PUBLIC_URL=${public_url:-http://localhost:8080}" \
  "TOYGRES_STORE=az://$account/$container" > "$overlay/settings.env"
printf '%s\n' "SERVER_CLIENT_ID=$server_id" "JOB_CLIENT_ID=$job_id" > "$overlay/identities.env"
[[ -z $own_cms ]] || printf '%s\n' 'components:' '  - ../../components/cms' >> "$overlay/kustomization.yaml"
if [[ -n $dns_label ]]; then
  sed -i '/^patches:/r /dev/stdin' "$overlay/kustomization.yaml" <<PATCH
  - target: { kind: Service, name: toygres }
    patch: |
      - { op: add, path: /spec/type, value: LoadBalancer }
      - { op: add, path: /metadata/annotations, value: { service.beta.kubernetes.io/azure-dns-label-name: $dns_label } }
PATCH
fi
if [[ -n $dry_run ]]; then
  for file in settings.env identities.env kustomization.yaml; do
    printf '\n%s:\n' "$overlay/$file"
    sed 's/^/  /' "$overlay/$file"
  done
fi
run kubectl apply --server-side -k "$overlay"
[[ -z $own_cms ]] || run kubectl --namespace "$system" rollout status statefulset/toygres-cms --timeout 10m
for deployment in toygres-api toygres-worker; do
  run kubectl --namespace "$system" rollout status "deployment/$deployment" --timeout 10m
done

if [[ -n $dry_run ]]; then
  step "Nothing was called"
  echo "What would be applied: kubectl kustomize $overlay"
  echo "Delete it when you no longer need it: rm -r $work"
  exit
fi

step "Done"
login="az aks get-credentials --resource-group $group --name $cluster"
if [[ -n $public_url ]]; then
  echo "Toygres is at $public_url"
else
  echo "Toygres is at http://localhost:8080 while this command runs:"
  echo "  $login && kubectl --namespace $system port-forward service/toygres 8080:80"
fi
echo "The first account is in the Secret toygres-secrets:"
echo "  kubectl --namespace $system get secret toygres-secrets -o jsonpath='{.data.TOYGRES_ADMIN_PASSWORD}' | base64 -d"
echo "Keep a copy of its TOYGRES_ENCRYPTION_KEY: without it, no password in the state database can be read."
