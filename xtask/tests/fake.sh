#!/usr/bin/env bash
# A fake az, kubectl and cargo: records each call in $STATE. What an earlier call created exists.
call="${0##*/} $*"
echo "$call" >> "$STATE/calls"
made() { grep -qE -- "$1" "$STATE/made" 2>/dev/null; }
option() { sed -n "s/.*$1 \([^ ]*\).*/\1/p" <<<"$call"; }
in_query() { sed -n "s/.*$1=='\([^']*\)'.*/\1/p" <<<"$call"; }

if [[ -n ${REFUSE:-} && $call == *"$REFUSE"* ]]; then
  echo "ERROR: AADSTS700082: The refresh token has expired." >&2
  exit 1
fi
case $call in
  *' create '* | *' update '* | *' build '*) echo "$call" >> "$STATE/made" ;;
esac
case $call in
  'kubectl '*' create secret '*) cat "$(option --from-env-file)" > "$STATE/secrets" ;;
  'kubectl apply '*' -k '*) cp -R "$(option -k)" "$STATE/applied-$RANDOM" ;;
  'kubectl '*' get secret '*'-o name') made '^kubectl .* create secret' && echo secret/toygres-secrets ;;
  'kubectl '*' get secret '*) grep -q '^CMS_PASSWORD=' "$STATE/secrets" && echo yes ;;
  'az account show'*) echo subscription ;;
  'az role assignment list'*) made "--assignee-object-id $(in_query principalId) .*--role $(in_query roleDefinitionName)" && echo role ;;
  'az identity federated-credential list'*) made "--subject $(in_query subject)" && echo credential ;;
  'az aks show'*workloadIdentity*) made '^az aks update' && echo true ;;
  'az aks show'*issuerUrl*) echo https://issuer.test/ ;;
  'az aks show'*'-o none') ;; # the cluster always exists
  'az acr repository show'*'--query digest'*) echo sha256:0123abcd ;;
  'az acr repository show'*) made "^az acr build .*--image $(option --image) " || exit 3 ;;
  'az '*' show '*'-o none') made "^${call%% show *} create .*--name $(option --name)( |$)" || exit 3 ;;
  'az '*' show '*) echo "$(option --name)-$(option --query)" ;;
esac
exit 0
