package gitcommit

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/slipway/v1alpha1"
)

// refusals remembers which GitCommits have a branch that was too large, so that it is not fetched again before it is
// time, or somebody asks for it: the status that tells of it is an event, too. It is lost with the process.
type refusals struct {
	mu sync.Mutex
	of map[types.NamespacedName]refusal
}

type refusal struct {
	uid        types.UID
	generation int64
	request    string
	until      time.Time
}

func refusalOf(commit *v1alpha1.GitCommit, until time.Time) refusal {
	return refusal{uid: commit.UID, generation: commit.Generation, request: commit.Annotations[v1alpha1.AnnotationRequestedAt], until: until}
}

// left is for how long a branch is not fetched again; 0 or less when it is.
func (r *refusals) left(commit *v1alpha1.GitCommit, now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := r.of[client.ObjectKeyFromObject(commit)]
	if last != refusalOf(commit, last.until) {
		return 0
	}
	return last.until.Sub(now)
}

// keep notes a refusal, if problem is one.
func (r *refusals) keep(commit *v1alpha1.GitCommit, problem *failure, now time.Time) {
	if problem.reason != v1alpha1.ReasonTooLarge {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of == nil {
		r.of = map[types.NamespacedName]refusal{}
	}
	r.of[client.ObjectKeyFromObject(commit)] = refusalOf(commit, now.Add(largeAgain))
}

func (r *refusals) drop(name types.NamespacedName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.of, name)
}
