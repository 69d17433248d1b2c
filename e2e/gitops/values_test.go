package gitops

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/yaml"
)

// Each value in an example is one that the chart takes, and each path leads somewhere in this repository.
func TestTheExamplesNameChartsAndValuesThatAreThere(t *testing.T) {
	charts := map[string]int{}
	holds := func(file, chart string, values map[string]any) {
		schema, err := jsonschema.NewCompiler().Compile(filepath.Join("../..", chart, "values.schema.json"))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		// As Helm does: what is given goes over the chart's own values.
		text, err := os.ReadFile(filepath.Join("../..", chart, "values.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		all := over(parse(t, text), values)
		if err := schema.Validate(all); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		all.(map[string]any)["unknown"] = true
		if schema.Validate(all) == nil {
			t.Errorf("%s takes any value", chart)
		}
		charts[chart]++
	}
	applications, err := filepath.Glob(examples + "argocd/applications/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range applications {
		source := application(t, file).Spec.Source
		holds(file, source.Path, values(t, source.Helm.ValuesObject))
	}
	for _, file := range []string{examples + "flux/operator/release.yaml"} {
		var release struct {
			Spec struct {
				Chart  struct{ Spec struct{ Chart string } }
				Values json.RawMessage
			}
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(text, &release); err != nil {
			t.Fatal(err)
		}
		holds(file, release.Spec.Chart.Spec.Chart, values(t, release.Spec.Values))
	}
	if wanted := map[string]int{"helm/opensecureconf-operator": 2, "helm/opensecureconf-cluster": 1}; !maps.Equal(charts, wanted) {
		t.Errorf("charts: %v, not %v", charts, wanted)
	}

	text, err := os.ReadFile(examples + "flux/clusters.yaml")
	if err != nil {
		t.Fatal(err)
	}
	paths := map[string]string{}
	for _, document := range bytes.Split(text, []byte("\n---\n")) {
		var found app
		if err := yaml.Unmarshal(document, &found); err != nil {
			t.Fatal(err)
		}
		if found.Kind == "Kustomization" {
			paths[found.Metadata.Name] = found.Spec.Path
		}
	}
	// The second is the user's own folder.
	if wanted := map[string]string{"opensecureconf-operator": "./manifests/gitops/flux/operator", "opensecureconf-clusters": "./clusters"}; !maps.Equal(paths, wanted) {
		t.Errorf("paths: %v, not %v", paths, wanted)
	}
	if manifests, _ := filepath.Glob(filepath.Join("../..", paths["opensecureconf-operator"], "*.yaml")); len(manifests) == 0 {
		t.Errorf("%s holds no manifest", paths["opensecureconf-operator"])
	}
}

// With one, an Application that is pruned would take nodes or the operator along.
func TestNoApplicationHasAFinalizer(t *testing.T) {
	files, err := filepath.Glob(examples + "argocd/applications/*.yaml")
	if err != nil || len(files) != 2 {
		t.Fatalf("%v %v", files, err)
	}
	for _, file := range append(files, examples+"argocd/parent.yaml") {
		if found := application(t, file).Metadata.Finalizers; len(found) > 0 {
			t.Errorf("%s has %v", file, found)
		}
	}
}

// values are those of an example, as the validator takes them.
func values(t *testing.T, text json.RawMessage) map[string]any {
	t.Helper()
	found, ok := parse(t, text).(map[string]any)
	if !ok || len(found) == 0 {
		t.Fatalf("no values but %s", text)
	}
	return found
}

// over merges maps, and replaces everything else.
func over(below, above any) any {
	into, isMap := below.(map[string]any)
	members, areMembers := above.(map[string]any)
	if !isMap || !areMembers {
		return above
	}
	for name, member := range members {
		into[name] = over(into[name], member)
	}
	return into
}
