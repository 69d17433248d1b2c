// Package externalsecrets asks a node through the webhook provider of External Secrets, with the store of
// manifests/gitops/external-secrets as it stands there.
package externalsecrets

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	esv1 "github.com/external-secrets/external-secrets/apis/externalsecrets/v1"
	"github.com/external-secrets/external-secrets/pkg/provider/webhook"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/yaml"
)

const (
	apiKey  = "an-api-key-of-a-test"
	userKey = "correct-horse-battery"
	example = "../../manifests/gitops/external-secrets/"
	page    = "../../docs/external-secrets.md"
)

// What is stored, what the example's store makes of it, and what a store with jsonPath $.value makes of it.
var values = []struct{ key, json, text, byPath string }{
	{"word", `"s3cret"`, "s3cret", "s3cret"},
	{"lines", `"a \"b\"\n\tü"`, "a \"b\"\n\tü", "a \"b\"\n\tü"},
	{"looks-like-json", `"{\"a\": 0.5}"`, `{"a": 0.5}`, `{"a": 0.5}`},
	{"number", `5432`, "5432", "5432"},
	{"fraction", `0.75`, "0.75", "1"},
	{"half", `2.5`, "2.5", "2"},
	{"long-number", `123456789012345678`, "123456789012345678", "123456789012345680"},
	{"switch", `true`, "true", "true"},
	{"list", `["a", "b"]`, `["a","b"]`, "a"},
	{"object", `{"b": 1, "a": {"c": 0.5}}`, `{"b":1,"a":{"c":0.5}}`, `{"a":{"c":0.5},"b":1}`},
	{"a/b", `"slash"`, "slash", "slash"},
	{"ümlaut+plus", `"name"`, "name", "name"},
}

func TestEveryValueArrivesAsItIs(t *testing.T) {
	client := open(t, serve(t), nil)
	for _, value := range values {
		t.Run(value.key, func(t *testing.T) {
			got, err := client.GetSecret(context.Background(), esv1.ExternalSecretDataRemoteRef{Key: value.key})
			if err != nil || string(got) != value.text {
				t.Errorf("%q (%v), not %q", got, err, value.text)
			}
		})
	}
}

func TestAJSONPathSpoilsWhatTheDocumentationSays(t *testing.T) {
	client := open(t, serve(t), func(provider *esv1.WebhookProvider) {
		provider.URL, _, _ = strings.Cut(provider.URL, "?")
		provider.Result.JSONPath = "$.value"
	})
	for _, value := range values {
		t.Run(value.key, func(t *testing.T) {
			got, err := client.GetSecret(context.Background(), esv1.ExternalSecretDataRemoteRef{Key: value.key})
			if err != nil || string(got) != value.byPath {
				t.Errorf("%q (%v), not %q", got, err, value.byPath)
			}
		})
	}
}

func TestDataFromMakesAKeyOfEachMember(t *testing.T) {
	node := serve(t)
	node.create(t, "database", `{"host": "db.internal", "port": 5432, "ratio": 0.75, "tls": true, "hosts": ["a", "b"], "options": {"a": 1}, "none": null, "id": 123456789012345678}`)
	wanted := map[string]string{
		"host": "db.internal", "port": "5432", "ratio": "0.75", "tls": "true", "hosts": `["a","b"]`, "options": `{"a":1}`, "none": "",
		// The provider reads numbers as doubles.
		"id": "123456789012345680",
	}
	got, err := open(t, node, nil).GetSecretMap(context.Background(), esv1.ExternalSecretDataRemoteRef{Key: "database"})
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range wanted {
		if string(got[name]) != value {
			t.Errorf("%s: %q, not %q", name, got[name], value)
		}
	}
	if len(got) != len(wanted) {
		t.Errorf("%d keys, not %d", len(got), len(wanted))
	}
}

func TestAVersionIsAnEnvironment(t *testing.T) {
	node := serve(t)
	node.create(t, "banner", `"live"`)
	node.send(t, "/configs?environment=staging", `{"key": "banner", "value": "soon"}`)
	client := open(t, node, nil)
	for version, wanted := range map[string]string{"": "live", "staging": "soon"} {
		got, err := client.GetSecret(context.Background(), esv1.ExternalSecretDataRemoteRef{Key: "banner", Version: version})
		if err != nil || string(got) != wanted {
			t.Errorf("version %q: %q (%v), not %q", version, got, err, wanted)
		}
	}
}

func TestWhatIsNotThereIsToldApartFromWhatFails(t *testing.T) {
	node := serve(t)
	node.create(t, "a b", `"blank"`)
	client := open(t, node, nil)
	get := func(key string) error {
		_, err := client.GetSecret(context.Background(), esv1.ExternalSecretDataRemoteRef{Key: key})
		return err
	}
	if err := get("nothing"); !errors.Is(err, esv1.NoSecretErr) {
		t.Errorf("missing: %v", err)
	}
	// The provider writes a blank as a plus, which is a plus in a path.
	if err := get("a b"); !errors.Is(err, esv1.NoSecretErr) {
		t.Errorf("a name with a blank: %v", err)
	}
	node.userKey = "another-user-key"
	if err := func() error {
		_, err := open(t, node, nil).GetSecret(context.Background(), esv1.ExternalSecretDataRemoteRef{Key: "word"})
		return err
	}(); err == nil || errors.Is(err, esv1.NoSecretErr) || !strings.Contains(err.Error(), "403") {
		t.Errorf("another user key: %v", err)
	}
	node.stop()
	if err := get("word"); err == nil || errors.Is(err, esv1.NoSecretErr) {
		t.Errorf("no node: %v", err)
	}
}

func TestTheEntriesOfThePageAreWhatTheExampleAsksFor(t *testing.T) {
	node := serve(t)
	requests := regexp.MustCompile(`(?m)^\$ curl .* -X POST 'https://localhost:9443(\S*)' -d '(.*)'$`).FindAllStringSubmatch(read(t, page), -1)
	for _, request := range requests {
		node.send(t, request[1], request[2])
	}
	var asked esv1.ExternalSecret
	if err := yaml.UnmarshalStrict([]byte(read(t, example+"secrets.yaml")), &asked); err != nil {
		t.Fatal(err)
	}
	client, got := open(t, node, nil), map[string]string{}
	for _, data := range asked.Spec.Data {
		value, err := client.GetSecret(context.Background(), data.RemoteRef)
		if err != nil {
			t.Errorf("%s: %v", data.SecretKey, err)
		}
		got[data.SecretKey] = string(value)
	}
	for _, from := range asked.Spec.DataFrom {
		members, err := client.GetSecretMap(context.Background(), *from.Extract)
		if err != nil {
			t.Errorf("%s: %v", from.Extract.Key, err)
		}
		for name, value := range members {
			got[name] = string(value)
		}
	}
	wanted := map[string]string{"discount": "0.75", "banner": "soon", "host": "db.internal", "port": "5432"}
	if !maps.Equal(got, wanted) {
		t.Errorf("%v, not %v", got, wanted)
	}
}

// keys is the Secret that the page's commands make.
func keys(t *testing.T, userKey string) corev1.Secret {
	t.Helper()
	text := read(t, page)
	created := regexp.MustCompile(`(?m)^\$ kubectl create secret generic (\S+) -n (\S+) (.*)$`).FindStringSubmatch(text)
	if created == nil {
		t.Fatal("the page makes no Secret")
	}
	secret := corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: created[1], Namespace: created[2], Labels: map[string]string{}}, Data: map[string][]byte{}}
	for _, literal := range regexp.MustCompile(`--from-literal=(\w+)="\$(\w+)"`).FindAllStringSubmatch(created[3], -1) {
		secret.Data[literal[1]] = []byte(map[string]string{"api_key": apiKey, "user_key": userKey}[literal[2]])
	}
	label := regexp.MustCompile(`(?m)^\$ kubectl label secret ` + created[1] + ` -n ` + created[2] + ` ([^\s=]+)=(\S+)`).FindStringSubmatch(text)
	if label == nil {
		t.Fatal("the page gives the Secret no label")
	}
	secret.Labels[label[1]] = label[2]
	return secret
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// open is the example's store for this node.
func open(t *testing.T, node *node, change func(*esv1.WebhookProvider)) esv1.SecretsClient {
	t.Helper()
	var store esv1.SecretStore
	if err := yaml.UnmarshalStrict([]byte(read(t, example+"store.yaml")), &store); err != nil {
		t.Fatal(err)
	}
	secret := keys(t, node.userKey)
	roots := corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "config-ca", Namespace: "default"}, Data: map[string]string{"ca.crt": node.certificate}}
	provider := store.Spec.Provider.Webhook
	host := "https://config.default.svc:9443"
	if !strings.HasPrefix(provider.URL, host) {
		t.Fatalf("another host in %s", provider.URL)
	}
	provider.URL = node.url + strings.TrimPrefix(provider.URL, host)
	if change != nil {
		change(provider)
	}
	cluster := fake.NewClientBuilder().WithObjects(&secret, &roots).Build()
	client, err := (&webhook.Provider{}).NewClient(context.Background(), &store, cluster, "default")
	if err != nil {
		t.Fatal(err)
	}
	return client
}

type node struct {
	url, certificate, userKey string
	http                      *http.Client
	stop                      func()
}

// serve starts a node with HTTPS that holds the values.
func serve(t *testing.T) *node {
	t.Helper()
	binary := os.Getenv("OSC_NODE_BINARY")
	if binary == "" {
		t.Fatal("OSC_NODE_BINARY names no program")
	}
	folder := t.TempDir()
	certificate, key := selfSigned(t)
	for name, text := range map[string]string{"tls.crt": certificate, "tls.key": key} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command := exec.Command(binary)
	command.Dir = folder
	command.Env = []string{
		"OSC_HOST=127.0.0.1", "OSC_HOST_PORT=0", "OSC_DATABASE_PATH=" + filepath.Join(folder, "configurations.db"),
		"OSC_SALT_FILE_PATH=" + filepath.Join(folder, "encryption.salt"), "OSC_API_KEY_REQUIRED=true", "OSC_API_KEY=" + apiKey,
		"OSC_HTTPS_ENABLED=true", "OSC_SSL_CERTFILE=" + filepath.Join(folder, "tls.crt"), "OSC_SSL_KEYFILE=" + filepath.Join(folder, "tls.key"),
	}
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var complaint bytes.Buffer
	command.Stderr = &complaint
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop := func() {
		if !stopped {
			stopped = true
			_ = command.Process.Kill()
			_ = command.Wait()
		}
	}
	t.Cleanup(stop)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(certificate))
	node := &node{
		certificate: certificate, userKey: userKey, stop: stop,
		http: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}},
	}
	lines := bufio.NewScanner(output)
	for node.url == "" && lines.Scan() {
		var line struct{ Event, Address string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Event == "node_started" {
			node.url = "https://" + line.Address
		}
	}
	if node.url == "" {
		stop()
		t.Fatalf("the node does not start: %s", complaint.String())
	}
	go func() {
		for lines.Scan() {
		}
	}()
	for _, value := range values {
		node.create(t, value.key, value.json)
	}
	return node
}

func (node *node) create(t *testing.T, key, value string) {
	t.Helper()
	name, _ := json.Marshal(key)
	node.send(t, "/configs", fmt.Sprintf(`{"key": %s, "value": %s}`, name, value))
}

func (node *node) send(t *testing.T, path, body string) {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, node.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = http.Header{"Content-Type": {"application/json"}, "X-Api-Key": {apiKey}, "X-User-Key": {userKey}}
	answer, err := node.http.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusCreated {
		t.Fatalf("%s: %s", body, answer.Status)
	}
}

func selfSigned(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a node"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, bytes []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}))
	}
	return block("CERTIFICATE", der), block("PRIVATE KEY", secret)
}
