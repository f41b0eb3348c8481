package repolint

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// leaves are the small packages that anything on the user's machine may use.
var leaves = []string{"internal/appfile", "internal/docker", "internal/environment", "internal/hint", "internal/kube", "internal/podstate", "internal/ui", "internal/version"}

// law says which packages of the module a package may import. Imports point down only: cmd, then the packages that do
// the work and never import one another (bootstrap, dev, supplychain, stages), then what they share, then the
// leaves. A new package must be added here: decide where it belongs. Tests are free.
var law = map[string][]string{
	"cmd/slipway": {"cmd/slipway/app", "internal/ui"},
	"cmd/slipway/app": with(leaves, "internal/git/contents", "internal/git/container", "registry", "registry/contents", "registry/events", "bootstrap", "bootstrap/bundle", "bootstrap/cluster", "bootstrap/diagnose", "internal/collect", "internal/dev/...", "internal/explain", "internal/wake", "internal/fulfil", "internal/prefetch", "internal/build/...", "profiles", "embedded", "embedded/staticserver",
		"internal/supplychain/lint", "internal/supplychain/templatetest"),
	"cmd/slipwayd": {
		"api/...", "internal/supplychain/controller", "internal/supplychain/webhook", "internal/stages/...", "internal/ingress", "internal/git/server", "registry/server", "registry/events",
		"internal/artifact", "internal/environment", "internal/hint", "internal/identity", "internal/ownwrites", "internal/version",
	},

	"cmd/slipway-init": {"internal/supervise/..."},

	"cmd/slipway-static": {"internal/staticserver"},

	"bootstrap":            with(leaves, "bootstrap/bundle", "bootstrap/cluster", "bootstrap/kubeconfig", "embedded", "embedded/slipwayd", "profiles", "registry", "registry/contents", "internal/git/container"),
	"bootstrap/bundle":     {"internal/hint"},
	"bootstrap/cluster":    {"internal/docker", "internal/environment", "internal/hint"},
	"bootstrap/kubeconfig": {"internal/hint"},
	"bootstrap/diagnose":   {"internal/docker", "internal/environment", "internal/kube", "internal/version"},

	"internal/dev/...":               with(leaves, "api/...", "internal/artifact", "embedded", "internal/supplychain/selector", "internal/build/...", "internal/dev/...", "internal/fulfil", "internal/supervise/wire", "internal/tree", "registry", "registry/events"),
	"internal/supplychain/template":  {"api/..."},
	"internal/supplychain/selector":  {"api/...", "internal/supplychain/template"},
	"internal/supplychain/realize":   {"api/...", "internal/supplychain/selector", "internal/supplychain/template"},
	"internal/supplychain/admission": {"api/...", "internal/supplychain/selector", "internal/supplychain/template"},
	"internal/supplychain/manifest":  {"api/..."},
	"internal/supplychain/templatetest": {
		"api/...", "internal/supplychain/admission", "internal/supplychain/manifest", "internal/supplychain/realize", "internal/supplychain/selector",
		"internal/supplychain/template",
	},
	"internal/supplychain/lint": {
		"api/...", "embedded", "internal/supplychain/admission", "internal/supplychain/manifest", "internal/supplychain/template",
	},
	"internal/supplychain/webhook":    {"api/...", "internal/supplychain/admission"},
	"internal/supplychain/controller": {"api/...", "internal/supplychain/...", "internal/environment", "internal/identity", "internal/version"},
	"internal/stages/...":             {"api/...", "internal/git/client", "internal/git/events", "internal/git/pack", "registry/events", "internal/environment", "internal/artifact", "internal/condition", "internal/identity", "internal/podstate", "internal/pull", "internal/tree", "internal/version"},
	"internal/fulfil":                 {"api/...", "internal/artifact", "internal/build/...", "internal/docker", "internal/hint", "internal/ui", "registry", "registry/events"},
	"internal/supervise/...":          {"internal/supervise/..."},
	"internal/staticserver":           nil,
	"internal/explain":                {"api/...", "internal/hint", "internal/kube", "internal/podstate"},
	"internal/prefetch":               nil,
	"internal/wake":                   {"api/...", "internal/hint", "internal/kube"},
	"internal/ingress":                {"internal/environment", "internal/version"},

	"internal/appfile":       {"internal/hint"},
	"internal/build/...":     {"embedded", "embedded/staticserver", "internal/appfile", "internal/build/...", "internal/docker", "internal/hint", "internal/tree", "internal/version"},
	"internal/tree":          {"internal/hint"},
	"profiles":               {"embedded", "internal/environment", "internal/hint", "internal/kube"},
	"registry":               {"internal/docker", "internal/environment", "internal/hint", "registry/contents"},
	"registry/contents":      nil,
	"internal/git/contents":  nil,
	"internal/git/events":    {"registry/events"},
	"internal/git/pack":      nil,
	"internal/git/server":    {"internal/git/contents", "internal/git/events", "internal/git/pack", "registry/events", "internal/version"},
	"internal/git/client":    {"internal/git/pack"},
	"internal/git/container": {"internal/docker", "internal/environment", "internal/git/contents", "internal/hint"},
	"internal/collect":       with(leaves, "registry", "registry/contents"),
	"registry/server":        {"registry/contents", "registry/events"},
	"registry/events":        nil,

	"api/...":               nil,
	"embedded":              {"internal/hint"},
	"embedded/slipwayd":     {"internal/hint"},
	"embedded/staticserver": {"internal/hint"},
	"internal/docker":       {"internal/hint"},
	"internal/kube":         {"internal/hint", "internal/version"},
	"internal/ui":           {"internal/hint"},
	"internal/hint":         nil,
	"internal/version":      nil,
	"internal/repolint":     nil,
	"internal/apitest":      {"api/...", "internal/ownwrites"}, // for tests alone

	"internal/environment": nil,
	"internal/artifact":    nil,
	"internal/condition":   nil,
	"internal/identity":    nil,
	"internal/ownwrites":   nil,
	"internal/podstate":    nil,
	"internal/pull":        nil,

	// Programs that call slipway from outside, and helpers of the build.
	"internal/e2e":   {"internal/environment", "internal/kube"},
	"internal/bench": {"bootstrap/cluster", "embedded", "internal/appfile", "internal/build/...", "internal/environment", "internal/kube", "registry"},
	"scripts/...":    {"internal/build/..."},
	"examples/...":   nil,
}

func with(list []string, more ...string) []string { return append(slices.Clone(list), more...) }

// allowed finds the law of a package; an exact entry beats a pattern.
func allowed(dir string) ([]string, bool) {
	if list, found := law[dir]; found {
		return list, true
	}
	for pattern, list := range law {
		if covers(pattern, dir) {
			return list, true
		}
	}
	return nil, false
}

func TestImportLaw(t *testing.T) {
	unknown := map[string]bool{}
	for _, file := range module(t) {
		if file.test {
			continue
		}
		list, known := allowed(file.dir)
		if !known {
			unknown[file.dir] = true
			continue
		}
		for _, imported := range file.imports() {
			if isOurs(imported) && !coveredBy(list, imported) {
				t.Errorf("%s imports %s: package %s may import only %s", file.path, imported, file.dir, strings.Join(list, ", "))
			}
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(unknown)) {
		t.Errorf("package %s is not in the import law: decide where it belongs, and add it", dir)
	}
}

// isOurs says whether an import, without the module's path, is of this module: then it was relative to its root.
func isOurs(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return slices.Contains([]string{"api", "bootstrap", "cmd", "embedded", "examples", "internal", "profiles", "registry", "scripts"}, first)
}

// homes are packages of others that only some of ours may import, so that each can be replaced in one place, or stays
// out of what has to be small or pure. Tests are free.
var homes = map[string][]string{
	"testing":                    {"internal/apitest", "internal/e2e"},
	"github.com/sirupsen/logrus": {"cmd/slipway/app", "registry/server"},
	"k8s.io/klog/v2":             {"cmd/..."},
}

func TestOthersHaveOneHome(t *testing.T) {
	for _, file := range module(t) {
		if file.test || file.generated {
			continue
		}
		for _, imported := range file.imports() {
			for other, home := range homes {
				if covers(other+"/...", imported) && !coveredBy(home, file.dir) {
					t.Errorf("%s imports %s: that is for %s alone", file.path, imported, strings.Join(home, ", "))
				}
			}
		}
	}
}

// pure are the packages that compute and do nothing else, so that `slipway lint` and tests use them without a cluster.
var pure = []string{"internal/supplychain/selector", "internal/supplychain/template", "internal/supplychain/realize", "internal/supplychain/admission",
	"internal/supplychain/manifest", "internal/supplychain/lint",
}

// impure are imports that reach out of the process.
var impure = []string{
	"os", "os/exec", "net", "net/http", "log", "log/slog", "math/rand", "math/rand/v2", "k8s.io/client-go/dynamic/...", "k8s.io/client-go/kubernetes/...",
	"k8s.io/client-go/rest/...", "sigs.k8s.io/controller-runtime/...",
}

func TestPurePackagesReachNothing(t *testing.T) {
	for _, file := range module(t) {
		if file.test || !coveredBy(pure, file.dir) {
			continue
		}
		for _, imported := range file.imports() {
			if coveredBy(impure, imported) {
				t.Errorf("%s imports %s, but %s only computes", file.path, imported, file.dir)
			}
		}
		for _, call := range calls(file, "time", "Now", "Since", "Sleep", "After") {
			t.Errorf("%s: %s takes the time as an argument", call, file.dir)
		}
	}
}

// slipwayd is what slipway embeds, so it cannot have the embedded slipwayd in it.
func TestSlipwaydDoesNotEmbedItself(t *testing.T) {
	imports := map[string][]string{}
	for _, file := range module(t) {
		if !file.test {
			imports[file.dir] = append(imports[file.dir], file.imports()...)
		}
	}
	from := map[string]string{"cmd/slipwayd": ""}
	queue := []string{"cmd/slipwayd"}
	for len(queue) > 0 {
		dir := queue[0]
		queue = queue[1:]
		for _, imported := range imports[dir] {
			if _, seen := from[imported]; seen || !isOurs(imported) {
				continue
			}
			from[imported] = dir
			queue = append(queue, imported)
		}
	}
	if _, found := from["embedded/slipwayd"]; !found {
		return
	}
	chain := "embedded/slipwayd"
	for dir := from["embedded/slipwayd"]; dir != ""; dir = from[dir] {
		chain = dir + " -> " + chain
	}
	t.Errorf("slipwayd would embed itself: %s", chain)
}
