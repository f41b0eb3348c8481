package controller

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// answerTime is how long what was stamped has to answer before the owner's status says that it has not. Controllers that
// have nothing to fetch do so within 5 to 20 ms.
const answerTime = 30 * time.Millisecond

// held remembers the owners whose status waits for the answer of what was stamped for them. To write between each two
// stages that one is awaited takes longer than the answer, and keeps the next stage waiting: the owner is looked at by one
// worker at a time.
type held struct {
	mu    sync.Mutex
	since map[types.NamespacedName]time.Time
}

func newHeld() *held { return &held{since: map[types.NamespacedName]time.Time{}} }

// hold returns for how long an owner's new status is not to be written; 0 means that it is to be now. wrote says that
// something was stamped just now, and open that nothing else is known than that it is awaited. However often it is asked,
// a status is never older than answerTime.
func (h *held) hold(owner types.NamespacedName, wrote, open bool) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	since, holding := h.since[owner]
	if !holding {
		since = time.Now()
	}
	left := answerTime - time.Since(since)
	if !open || left <= 0 || !holding && !wrote {
		delete(h.since, owner)
		return 0
	}
	h.since[owner] = since
	return left
}

// forget drops an owner.
func (h *held) forget(owner types.NamespacedName) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.since, owner)
}
