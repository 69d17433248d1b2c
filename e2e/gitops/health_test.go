// Package gitops shows what Argo CD and Flux make of every state of an OpenSecureConfCluster. states.json is written by a test of
// the operator, from the code that makes the conditions.
package gitops

import (
	"context"
	"encoding/json"
	"os"
	"testing"
	"time"

	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

type state struct {
	Name     string         `json:"name"`
	Means    string         `json:"means"`
	Resource map[string]any `json:"resource"`
}

// What each meaning is in the words of both. Argo CD ends a sync at Degraded, whoever waits by kstatus at Failed.
var expected = map[string]struct {
	argo    string
	kstatus status.Status
}{
	"ready":          {"Healthy", status.CurrentStatus},
	"under way":      {"Progressing", status.InProgressStatus},
	"stalled":        {"Degraded", status.FailedStatus},
	"needs a person": {"Degraded", status.InProgressStatus},
	"ending":         {"Progressing", status.TerminatingStatus},
}

func states(t *testing.T) []state {
	t.Helper()
	text, err := os.ReadFile("states.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []state
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	told := map[string]bool{}
	for _, state := range all {
		if _, known := expected[state.Means]; !known {
			t.Fatalf("%s: unknown meaning %q", state.Name, state.Means)
		}
		told[state.Means] = true
	}
	if len(told) != len(expected) {
		t.Fatalf("states of %d meanings, not of %d", len(told), len(expected))
	}
	return all
}

func TestArgoCDSeesWhatEachStateMeans(t *testing.T) {
	script, err := os.ReadFile("../../manifests/gitops/argocd/health.lua")
	if err != nil {
		t.Fatal(err)
	}
	for _, state := range states(t) {
		t.Run(state.Name, func(t *testing.T) {
			health, message := run(t, string(script), state.Resource)
			if wanted := expected[state.Means].argo; health != wanted {
				t.Errorf("%s (%s), not %s", health, message, wanted)
			}
			if message == "" {
				t.Error("no message")
			}
		})
	}
}

// Its generation differs, as that of a spec which the operator has not looked at. The message names what waits.
func TestArgoCDNamesTheChangesOfAPausedResource(t *testing.T) {
	script, err := os.ReadFile("../../manifests/gitops/argocd/health.lua")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, state := range states(t) {
		conditions, _, _ := unstructured.NestedSlice(state.Resource, "status", "conditions")
		for _, of := range conditions {
			condition := of.(map[string]any)
			if condition["type"] != "Stalled" || condition["status"] != "True" || condition["reason"] != "Paused" {
				continue
			}
			found++
			if health, message := run(t, string(script), state.Resource); health != "Progressing" || message != condition["message"] {
				t.Errorf("%s: %s (%s)", state.Name, health, message)
			}
		}
	}
	if found == 0 {
		t.Error("no state tells of changes that wait")
	}
}

// The definition's default keeps the API server from ever showing it; kstatus would take it for Current.
func TestArgoCDWaitsForAStatus(t *testing.T) {
	script, err := os.ReadFile("../../manifests/gitops/argocd/health.lua")
	if err != nil {
		t.Fatal(err)
	}
	if health, _ := run(t, string(script), map[string]any{"metadata": map[string]any{"generation": 1.0}}); health != "Progressing" {
		t.Error(health)
	}
}

func TestKstatusSeesWhatEachStateMeans(t *testing.T) {
	for _, state := range states(t) {
		t.Run(state.Name, func(t *testing.T) {
			result, err := status.Compute(&unstructured.Unstructured{Object: integers(state.Resource).(map[string]any)})
			if err != nil {
				t.Fatal(err)
			}
			if wanted := expected[state.Means].kstatus; result.Status != wanted {
				t.Errorf("%s (%s), not %s", result.Status, result.Message, wanted)
			}
		})
	}
}

// run executes a health check as Argo CD does: its interpreter, with the libraries that scripts of argocd-cm have, for a second at most.
func run(t *testing.T, script string, resource map[string]any) (string, string) {
	t.Helper()
	l := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer l.Close()
	for _, library := range []struct {
		name string
		open lua.LGFunction
	}{{lua.LoadLibName, lua.OpenPackage}, {lua.BaseLibName, lua.OpenBase}, {lua.TabLibName, lua.OpenTable}} {
		if err := l.CallByParam(lua.P{Fn: l.NewFunction(library.open), Protect: true}, lua.LString(library.name)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	l.SetContext(ctx)
	l.SetGlobal("obj", value(l, resource))
	if err := l.DoString(script); err != nil {
		t.Fatal(err)
	}
	answer, ok := l.Get(-1).(*lua.LTable)
	if !ok {
		t.Fatalf("no table but %s", l.Get(-1).Type())
	}
	return lua.LVAsString(answer.RawGetString("status")), lua.LVAsString(answer.RawGetString("message"))
}

// value is what Lua sees of JSON: null is nil, and so not there.
func value(l *lua.LState, of any) lua.LValue {
	switch of := of.(type) {
	case bool:
		return lua.LBool(of)
	case float64:
		return lua.LNumber(of)
	case string:
		return lua.LString(of)
	case []any:
		table := l.CreateTable(len(of), 0)
		for _, item := range of {
			table.Append(value(l, item))
		}
		return table
	case map[string]any:
		table := l.CreateTable(0, len(of))
		for name, member := range of {
			table.RawSetString(name, value(l, member))
		}
		return table
	}
	return lua.LNil
}

// integers are int64 in an object of Kubernetes' own packages.
func integers(of any) any {
	switch of := of.(type) {
	case float64:
		return int64(of)
	case []any:
		for i := range of {
			of[i] = integers(of[i])
		}
	case map[string]any:
		for name := range of {
			of[name] = integers(of[name])
		}
	}
	return of
}
