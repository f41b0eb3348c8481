package kubeconfig_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"slipway.dev/slipway/bootstrap/kubeconfig"
)

func entry(name, server string) []byte {
	config := api.NewConfig()
	config.Clusters[name] = &api.Cluster{Server: server}
	config.AuthInfos[name] = &api.AuthInfo{Token: "secret"}
	config.Contexts[name] = &api.Context{Cluster: name, AuthInfo: name}
	text, err := clientcmd.Write(*config)
	if err != nil {
		panic(err)
	}
	return text
}

func load(t *testing.T, path string) *api.Config {
	t.Helper()
	config, err := clientcmd.LoadFromFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func TestMergeAndRemove(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "config")
	unset := kubeconfig.Choice{SwitchIfUnset: true}

	changed, err := kubeconfig.Merge(t.Context(), path, "kind-a", entry("kind-a", "https://a"), unset)
	if err != nil || !changed {
		t.Fatalf("first Merge() = %v, %v, want true, nil", changed, err)
	}
	if got := kubeconfig.Current(path); got != "kind-a" {
		t.Errorf("current context = %q, want kind-a: none was set", got)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("mode = %v, want 0600", info.Mode().Perm())
	}

	changed, err = kubeconfig.Merge(t.Context(), path, "kind-a", entry("kind-a", "https://a"), unset)
	if err != nil || changed {
		t.Errorf("Merge() of the same = %v, %v, want false, nil", changed, err)
	}

	if _, err := kubeconfig.Merge(t.Context(), path, "kind-b", entry("kind-b", "https://b"), unset); err != nil {
		t.Fatal(err)
	}
	if got := kubeconfig.Current(path); got != "kind-a" {
		t.Errorf("current context = %q, want kind-a: it was set", got)
	}
	if _, err := kubeconfig.Merge(t.Context(), path, "kind-b", entry("kind-b", "https://b2"), kubeconfig.Choice{Switch: true}); err != nil {
		t.Fatal(err)
	}
	config := load(t, path)
	if config.CurrentContext != "kind-b" || config.Clusters["kind-b"].Server != "https://b2" || config.Clusters["kind-a"] == nil {
		t.Errorf("after Merge: %+v", config)
	}

	if changed, err := kubeconfig.Remove(t.Context(), path, "kind-b"); err != nil || !changed {
		t.Fatalf("Remove() = %v, %v, want true, nil", changed, err)
	}
	config = load(t, path)
	if config.CurrentContext != "" || config.Contexts["kind-b"] != nil || config.AuthInfos["kind-b"] != nil || config.Contexts["kind-a"] == nil {
		t.Errorf("after Remove: %+v", config)
	}
	if changed, err := kubeconfig.Remove(t.Context(), path, "kind-b"); err != nil || changed {
		t.Errorf("second Remove() = %v, %v, want false, nil", changed, err)
	}
	if _, err := kubeconfig.Remove(t.Context(), path, "kind-a"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Error("an empty kubeconfig is left")
	}
	if changed, err := kubeconfig.Remove(t.Context(), path, "kind-a"); err != nil || changed {
		t.Errorf("Remove() without a file = %v, %v, want false, nil", changed, err)
	}
}

func TestMergeKeepsTheUsersNamespace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	if _, err := kubeconfig.Merge(t.Context(), path, "kind-a", entry("kind-a", "https://a"), kubeconfig.Choice{}); err != nil {
		t.Fatal(err)
	}
	config := load(t, path)
	if config.CurrentContext != "" {
		t.Errorf("current context = %q, want none: it was not asked for", config.CurrentContext)
	}
	config.Contexts["kind-a"].Namespace = "mine"
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	if changed, err := kubeconfig.Merge(t.Context(), path, "kind-a", entry("kind-a", "https://a"), kubeconfig.Choice{}); err != nil || changed {
		t.Errorf("Merge() = %v, %v, want false, nil", changed, err)
	}
}

func TestMergeLosesNothing(t *testing.T) {
	t.Run("a file that does not parse stays as it is", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "config")
		if err := os.WriteFile(path, []byte("clusters: [nonsense"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := kubeconfig.Merge(t.Context(), path, "kind-a", entry("kind-a", "https://a"), kubeconfig.Choice{}); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("error = %v, want one that names the file", err)
		}
		if content, _ := os.ReadFile(path); string(content) != "clusters: [nonsense" {
			t.Errorf("the file became %q", content)
		}
	})
	t.Run("a symbolic link stays one", func(t *testing.T) {
		dir := t.TempDir()
		target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
		if err := os.WriteFile(target, entry("other", "https://o"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, link); err != nil {
			t.Skip(err)
		}
		if _, err := kubeconfig.Merge(t.Context(), link, "kind-a", entry("kind-a", "https://a"), kubeconfig.Choice{}); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
			t.Error("the link was replaced")
		}
		if load(t, target).Contexts["kind-a"] == nil {
			t.Error("the target has no new context")
		}
	})
	t.Run("a stale lock is taken over", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "config")
		lock := path + ".lock"
		if err := os.WriteFile(lock, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		old := time.Now().Add(-time.Hour)
		if err := os.Chtimes(lock, old, old); err != nil {
			t.Fatal(err)
		}
		if _, err := kubeconfig.Merge(t.Context(), path, "kind-a", entry("kind-a", "https://a"), kubeconfig.Choice{}); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(lock); !os.IsNotExist(err) {
			t.Error("the lock is left")
		}
	})
}
