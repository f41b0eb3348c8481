package source

import (
	"errors"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/slipway/v1alpha1"
)

// refusals remembers which revisions of Sources were too large, so that none is fetched again before it is time, or somebody
// asks for it: the status that tells of one wakes its Source at once, and so does each push. It is lost with the process.
type refusals struct {
	mu sync.Mutex
	of map[types.NamespacedName]refusal
}

type refusal struct {
	uid        types.UID
	generation int64
	request    string
	revision   string
	problem    *failure
	until      time.Time
}

// find returns the refusal of a Source as it is now, if there is one still.
func (r *refusals) find(source *v1alpha1.Source) (refusal, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := r.of[client.ObjectKeyFromObject(source)]
	asked := source.Annotations[v1alpha1.AnnotationRequestedAt]
	return last, last.uid == source.UID && last.generation == source.Generation && last.request == asked && time.Now().Before(last.until)
}

// check returns why a revision was refused; nil when it was not, or is to be fetched again.
func (r *refusals) check(source *v1alpha1.Source, revision string) error {
	if last, is := r.find(source); is && last.revision == revision {
		return last.problem
	}
	return nil
}

// left is after how long a Source that was refused is to be looked at again.
func (r *refusals) left(source *v1alpha1.Source) time.Duration {
	if last, is := r.find(source); is {
		return time.Until(last.until)
	}
	return largeAgain
}

// keep notes that a revision was refused, if err says that it is too large.
func (r *refusals) keep(source *v1alpha1.Source, revision string, err error) {
	problem, is := errors.AsType[*failure](err)
	if !is || !problem.large {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of == nil {
		r.of = map[types.NamespacedName]refusal{}
	}
	r.of[client.ObjectKeyFromObject(source)] = refusal{
		uid: source.UID, generation: source.Generation, request: source.Annotations[v1alpha1.AnnotationRequestedAt],
		revision: revision, problem: problem, until: time.Now().Add(largeAgain),
	}
}

func (r *refusals) drop(name types.NamespacedName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.of, name)
}
