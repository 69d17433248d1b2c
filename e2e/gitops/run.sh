#!/usr/bin/env bash
# run.sh            what Argo CD and Flux make of every state of the resource, and whether the examples fit the definitions of their kinds
# run.sh --health   all but what needs those definitions: nothing is loaded but the modules of go.mod
set -euo pipefail
cd "$(dirname "$0")"
command -v go >/dev/null || { echo "Go 1.26 or newer is missing" >&2; exit 1; }
only=()
[ "${1:-}" != --health ] || only=(-skip 'FitsTheDefinitionOfItsKind$')
# As the cluster kit builds Kubernetes' packages, so that those of one version are built once.
CGO_ENABLED=0 go test -trimpath -count=1 "${only[@]}" ./...
