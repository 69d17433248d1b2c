#!/usr/bin/env bash
# External Secrets' webhook provider makes "1" of the number 0.75, and "2" of 2.5, where its result is chosen by jsonPath.
#
# github.com/external-secrets/external-secrets v0.16.2 (the provider's package, asked as its controller asks it), Go 1.26.
#
# A Secret that is synchronised from a JSON answer with `result.jsonPath` gets numbers rounded to whole ones, the first element of a list,
# and nothing for null. No error, no event. `dataFrom.extract` on the same answer keeps fractions and lists; integers beyond 2^53 lose digits
# both ways.
#
# Guess before: numbers come as JSON spells them; a list is JSON or an error.
# What follows: answers that need no jsonPath (text), numbers as strings, or `dataFrom`.
#
# Output seen: the table at the end of this file.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat >go.mod <<'MODULE'
module finding

go 1.26

replace github.com/Masterminds/sprig/v3 => github.com/external-secrets/sprig/v3 v3.3.0

require github.com/external-secrets/external-secrets v0.16.2
MODULE
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	esv1 "github.com/external-secrets/external-secrets/apis/externalsecrets/v1"
	"github.com/external-secrets/external-secrets/pkg/provider/webhook"
)

func main() {
	for _, value := range []string{`0.75`, `2.5`, `5432`, `123456789012345678`, `["a", "b"]`, `null`} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"value": %s}`, value)
		}))
		ask := func(path string) esv1.SecretsClient {
			spec := esv1.SecretStoreSpec{Provider: &esv1.SecretStoreProvider{Webhook: &esv1.WebhookProvider{
				URL: server.URL, Result: esv1.WebhookResult{JSONPath: path},
			}}}
			client, err := (&webhook.Provider{}).NewClient(context.Background(), &esv1.SecretStore{Spec: spec}, nil, "default")
			if err != nil {
				panic(err)
			}
			return client
		}
		one, err := ask("$.value").GetSecret(context.Background(), esv1.ExternalSecretDataRemoteRef{Key: "any"})
		if err != nil {
			panic(err)
		}
		all, err := ask("").GetSecretMap(context.Background(), esv1.ExternalSecretDataRemoteRef{Key: "any"})
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s | %s | %s\n", value, one, all["value"])
		server.Close()
	}
}
GO
go mod tidy >/dev/null 2>&1
{ echo 'answered | data with jsonPath | dataFrom'; go run . | sed 's/ *$//'; } | tee output
diff output - <<'SEEN' || { echo "the provider does something else now" >&2; exit 1; }
answered | data with jsonPath | dataFrom
0.75 | 1 | 0.75
2.5 | 2 | 2.5
5432 | 5432 | 5432
123456789012345678 | 123456789012345680 | 123456789012345680
["a", "b"] | a | ["a","b"]
null |  |
SEEN
