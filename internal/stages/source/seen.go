package source

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/slipway/v1alpha1"
)

// looks remembers up to which revision Sources with a subPath were looked at and found unchanged. Their artifact keeps
// the revision that first had its files, so it does not tell; and without this each look at a repository in which others
// work would fetch it all. It is lost with the process: then one look more is taken.
type looks struct {
	mu sync.Mutex
	of map[types.NamespacedName]look
}

type look struct {
	uid        types.UID
	generation int64
	revision   string
}

// at is the revision up to which a Source is unchanged; "" when that is not known.
func (l *looks) at(source *v1alpha1.Source) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if last := l.of[client.ObjectKeyFromObject(source)]; last.uid == source.UID && last.generation == source.Generation {
		return last.revision
	}
	return ""
}

func (l *looks) keep(source *v1alpha1.Source, revision string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of == nil {
		l.of = map[types.NamespacedName]look{}
	}
	l.of[client.ObjectKeyFromObject(source)] = look{source.UID, source.Generation, revision}
}

func (l *looks) drop(name types.NamespacedName) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.of, name)
}
