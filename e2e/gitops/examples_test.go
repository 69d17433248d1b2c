package gitops

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/yaml"
)

const examples = "../../manifests/gitops/"

// Where the definitions of others lie: in the modules that serve them.
var definitions = map[string]string{
	"github.com/argoproj/argo-cd/v3@v3.2.1":                "manifests/crds/*-crd.yaml",
	"github.com/fluxcd/kustomize-controller@v1.7.3":        "config/crd/bases/*.yaml",
	"github.com/fluxcd/source-controller@v1.7.3":           "config/crd/bases/*.yaml",
	"github.com/fluxcd/helm-controller@v1.4.0":             "config/crd/bases/*.yaml",
	"github.com/external-secrets/external-secrets@v0.16.2": "config/crds/bases/*.yaml",
}

func TestEveryExampleFitsTheDefinitionOfItsKind(t *testing.T) {
	schemas := schemas(t)
	files, err := filepath.Glob(examples + "*/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	more, _ := filepath.Glob(examples + "*/*/*.yaml")
	if len(more) != 3 {
		t.Errorf("in folders below: %v", more)
	}
	checked := map[string]bool{}
	for _, file := range append(files, more...) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, document := range bytes.Split(text, []byte("\n---\n")) {
			object := parse(t, document).(map[string]any)
			kind := object["apiVersion"].(string) + " " + object["kind"].(string)
			if kind == "v1 ConfigMap" || kind == "v1 Secret" {
				continue
			}
			schema, known := schemas[kind]
			if !known {
				t.Errorf("%s: no definition of %s", file, kind)
				continue
			}
			if err := schema.Validate(object); err != nil {
				t.Errorf("%s: %s: %v", file, kind, err)
			}
			checked[kind] = true
			// The schema refutes: a field that it does not list does not pass.
			object["spec"].(map[string]any)["unknown"] = true
			if schema.Validate(object) == nil {
				t.Errorf("%s: %s takes any field", file, kind)
			}
		}
	}
	if len(checked) != 6 {
		t.Errorf("checked %v", checked)
	}
}

func TestTheConfigMapHasTheHealthCheckWordForWord(t *testing.T) {
	script, err := os.ReadFile(examples + "argocd/health.lua")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(examples + "argocd/argocd-cm.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		APIVersion, Kind string
		Metadata         struct {
			Name, Namespace string
			Labels          map[string]string
		}
		Data map[string]string
	}
	if err := yaml.UnmarshalStrict(text, &config); err != nil {
		t.Fatal(err)
	}
	if found := config.APIVersion + " " + config.Kind + " " + config.Metadata.Namespace + "/" + config.Metadata.Name; found != "v1 ConfigMap argocd/argocd-cm" {
		t.Errorf("it is %s", found)
	}
	// Argo CD sees only ConfigMaps with it.
	if config.Metadata.Labels["app.kubernetes.io/part-of"] != "argocd" {
		t.Errorf("labels: %v", config.Metadata.Labels)
	}
	if config.Data["resource.customizations.health.opensecureconf.io_OpenSecureConfCluster"] != string(script) {
		t.Error("argocd-cm.yaml differs from health.lua")
	}
	check := config.Data["resource.customizations.health.argoproj.io_Application"]
	for health, resource := range map[string]map[string]any{
		"Progressing": {"metadata": map[string]any{}},
		"Healthy":     {"status": map[string]any{"health": map[string]any{"status": "Healthy"}}},
		"Degraded":    {"status": map[string]any{"health": map[string]any{"status": "Degraded", "message": "why"}}},
	} {
		if got, _ := run(t, check, resource); got != health {
			t.Errorf("an application that is %s is shown as %s", health, got)
		}
	}
}

func TestTheParentBringsApplicationsAndNothingElse(t *testing.T) {
	parent := application(t, examples+"argocd/parent.yaml")
	entries, err := os.ReadDir("../../" + parent.Spec.Source.Path)
	if err != nil {
		t.Fatal(err)
	}
	waves := map[string]string{}
	for _, entry := range entries {
		if filepath.Ext(entry.Name()) != ".yaml" {
			t.Errorf("%s is no manifest", entry.Name())
			continue
		}
		child := application(t, filepath.Join("../..", parent.Spec.Source.Path, entry.Name()))
		if child.APIVersion+" "+child.Kind != "argoproj.io/v1alpha1 Application" {
			t.Errorf("%s is a %s", entry.Name(), child.Kind)
		}
		if child.Metadata.Name == parent.Metadata.Name || child.Metadata.Namespace != parent.Spec.Destination.Namespace {
			t.Errorf("%s is %s/%s", entry.Name(), child.Metadata.Namespace, child.Metadata.Name)
		}
		waves[child.Metadata.Name] = child.Metadata.Annotations["argocd.argoproj.io/sync-wave"]
	}
	if wanted := map[string]string{"opensecureconf-operator": "0", "opensecureconf-clusters": "1"}; !maps.Equal(waves, wanted) {
		t.Errorf("waves are %v, not %v", waves, wanted)
	}
}

type app struct {
	APIVersion, Kind string
	Metadata         struct {
		Name, Namespace string
		Annotations     map[string]string
		Finalizers      []string
	}
	Spec struct {
		Path   string
		Source struct {
			Path string
			Helm struct{ ValuesObject json.RawMessage }
		}
		Destination struct{ Namespace string }
	}
}

// application is a file that holds one document.
func application(t *testing.T, file string) (found app) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(text, []byte("\n---\n")) {
		t.Errorf("%s holds several documents", file)
	}
	if err := yaml.Unmarshal(text, &found); err != nil {
		t.Fatal(err)
	}
	return found
}

func parse(t *testing.T, text []byte) any {
	t.Helper()
	asJSON, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// schemas has one for each "apiVersion kind". Where a definition lists an object's members, no other is taken.
func schemas(t *testing.T) map[string]*jsonschema.Schema {
	t.Helper()
	found := map[string]*jsonschema.Schema{}
	for module, pattern := range definitions {
		output, err := exec.Command("go", "mod", "download", "-json", module).Output()
		if err != nil {
			t.Fatalf("%s: %v %s", module, err, output)
		}
		var download struct{ Dir string }
		if err := json.Unmarshal(output, &download); err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(download.Dir, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s has no %s", module, pattern)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var definition struct {
				Spec struct {
					Group    string
					Names    struct{ Kind string }
					Versions []struct {
						Name   string
						Schema struct{ OpenAPIV3Schema any }
					}
				}
			}
			if err := yaml.Unmarshal(text, &definition); err != nil {
				t.Fatal(err)
			}
			for _, version := range definition.Spec.Versions {
				kind := definition.Spec.Group + "/" + version.Name + " " + definition.Spec.Names.Kind
				compiler := jsonschema.NewCompiler()
				name := strings.ReplaceAll(kind, " ", "/") + ".json"
				if err := compiler.AddResource(name, closed(version.Schema.OpenAPIV3Schema)); err != nil {
					t.Fatal(err)
				}
				schema, err := compiler.Compile(name)
				if err != nil {
					t.Fatalf("%s: %v", kind, err)
				}
				found[kind] = schema
			}
		}
	}
	return found
}

func closed(of any) any {
	switch of := of.(type) {
	case []any:
		for i := range of {
			of[i] = closed(of[i])
		}
	case map[string]any:
		// Formats of Kubernetes are not those of JSON Schema.
		if _, text := of["format"].(string); text {
			delete(of, "format")
		}
		if of["x-kubernetes-int-or-string"] == true {
			delete(of, "type")
		}
		_, lists := of["properties"].(map[string]any)
		if _, open := of["additionalProperties"]; lists && of["type"] == "object" && !open && of["x-kubernetes-preserve-unknown-fields"] != true {
			of["additionalProperties"] = false
		}
		for name := range of {
			of[name] = closed(of[name])
		}
	}
	return of
}
