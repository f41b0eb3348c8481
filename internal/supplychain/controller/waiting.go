package controller

import (
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// afterRefusal are the pauses before trying again what was forbidden. A change of roles wakes the workload, but the
// API server itself may learn of that change a moment after us.
var afterRefusal = [...]time.Duration{50 * time.Millisecond, 200 * time.Millisecond, time.Second, 3 * time.Second}

// afterRefusals is the pause beyond those: not all that is forbidden is a matter of roles. A quota, or a policy, changes
// without waking anybody.
const afterRefusals = 10 * time.Minute

// waiting remembers which workload uses which service accounts, so that a change of an account or of what it may do
// wakes the workloads it concerns.
type waiting struct {
	mu sync.Mutex
	// accounts are those of a workload: the one that it uses first, then those that are asked for what that one may not.
	accounts map[types.NamespacedName][]types.NamespacedName
	users    map[types.NamespacedName]map[types.NamespacedName]bool
	refusals map[types.NamespacedName]int
}

func newWaiting() *waiting {
	return &waiting{
		accounts: map[types.NamespacedName][]types.NamespacedName{},
		users:    map[types.NamespacedName]map[types.NamespacedName]bool{},
		refusals: map[types.NamespacedName]int{},
	}
}

// uses notes that workload uses account, and no other any more. It is called before the account is looked for, so that
// its appearance is never missed.
func (w *waiting) uses(workload, account types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if known := w.accounts[workload]; len(known) > 0 && known[0] == account {
		return
	}
	w.drop(workload)
	w.add(workload, account)
}

// asks notes that workload has account asked, too, for what the one that it uses may not.
func (w *waiting) asks(workload, account types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Contains(w.accounts[workload], account) {
		w.add(workload, account)
	}
}

func (w *waiting) add(workload, account types.NamespacedName) {
	w.accounts[workload] = append(w.accounts[workload], account)
	if w.users[account] == nil {
		w.users[account] = map[types.NamespacedName]bool{}
	}
	w.users[account][workload] = true
}

// of is the account that a workload used last.
func (w *waiting) of(workload types.NamespacedName) (types.NamespacedName, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	known := w.accounts[workload]
	if len(known) == 0 {
		return types.NamespacedName{}, false
	}
	return known[0], true
}

// forget drops a workload.
func (w *waiting) forget(workload types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drop(workload)
	delete(w.refusals, workload)
}

func (w *waiting) drop(workload types.NamespacedName) {
	for _, account := range w.accounts[workload] {
		delete(w.users[account], workload)
		if len(w.users[account]) == 0 {
			delete(w.users, account)
		}
	}
	delete(w.accounts, workload)
}

// changed returns the workloads that use an account for which concerns is true, and lets them try again quickly.
func (w *waiting) changed(concerns func(account types.NamespacedName) bool) []types.NamespacedName {
	w.mu.Lock()
	defer w.mu.Unlock()
	var woken []types.NamespacedName
	for account, users := range w.users {
		if !concerns(account) {
			continue
		}
		for workload := range users {
			delete(w.refusals, workload)
			woken = append(woken, workload)
		}
	}
	return woken
}

// refused returns the pause after which a workload that was forbidden something tries again.
func (w *waiting) refused(workload types.NamespacedName) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	tries := w.refusals[workload]
	if tries >= len(afterRefusal) {
		return afterRefusals
	}
	w.refusals[workload] = tries + 1
	return afterRefusal[tries]
}

// allowed notes that a workload is forbidden nothing.
func (w *waiting) allowed(workload types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.refusals, workload)
}
