package convention

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"

	"slipway.dev/slipway/api/conventions/v1alpha1"
)

// outcomes remembers what came of each PodIntent, so that webhooks are asked only when something has changed.
type outcomes struct {
	mu    sync.Mutex
	known map[types.NamespacedName]outcome
}

type outcome struct {
	key      string
	template *corev1.PodTemplateSpec
}

func newOutcomes() *outcomes { return &outcomes{known: map[types.NamespacedName]outcome{}} }

// outcomeKey is another one whenever something else may come of it: the template with its images by digest, or the
// conventions.
func outcomeKey(intent *v1alpha1.PodIntent, template *corev1.PodTemplateSpec, chosen []v1alpha1.ClusterPodConvention) string {
	type version struct {
		UID        types.UID
		Generation int64
	}
	versions := []version{{intent.UID, 0}}
	for _, convention := range chosen {
		versions = append(versions, version{convention.UID, convention.Generation})
	}
	hash := sha256.New()
	// Neither can fail: what was read from JSON can be written again.
	_ = json.NewEncoder(hash).Encode(template)
	_ = json.NewEncoder(hash).Encode(versions)
	return fmt.Sprintf("%x", hash.Sum(nil))
}

func (o *outcomes) get(of types.NamespacedName, key string) *corev1.PodTemplateSpec {
	o.mu.Lock()
	defer o.mu.Unlock()
	if known := o.known[of]; known.key == key {
		return known.template.DeepCopy()
	}
	return nil
}

func (o *outcomes) keep(of types.NamespacedName, key string, template *corev1.PodTemplateSpec) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.known[of] = outcome{key, template.DeepCopy()}
}

func (o *outcomes) forget(of types.NamespacedName) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.known, of)
}

// sameTemplate says whether a template that was published is the one given, however it was written.
func sameTemplate(published []byte, template *corev1.PodTemplateSpec) bool {
	before := &corev1.PodTemplateSpec{}
	return json.Unmarshal(published, before) == nil && equality.Semantic.DeepEqual(before, template)
}
