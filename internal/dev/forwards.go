package dev

import (
	"cmp"
	"slices"
	"sync"

	"slipway.dev/slipway/internal/ui"
)

// forwards leads from this machine to every port of the app's newest pod. A local port that was taken for one stays
// with it, whatever pods come and go.
type forwards struct {
	progress ui.Progress
	local    map[int32]int

	mutex   sync.Mutex // guards what follows
	cluster *cluster
	byPort  map[int32]*forward
	order   []int32
	to      destination
}

// newForwards returns forwards that lead nowhere yet; local says where ports are wanted on this machine, and may be nil.
func newForwards(c *cluster, local map[int32]int, progress ui.Progress) *forwards {
	return &forwards{progress: progress, cluster: c, local: local, byPort: map[int32]*forward{}}
}

// point makes new connections go to a pod, and begins to listen for ports that are new. A port that the pod has no more
// is given back.
func (f *forwards) point(to destination) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if to.pod == "" {
		return
	}
	f.to = to
	for _, gone := range slices.Clone(f.order) {
		if !slices.Contains(to.ports, gone) {
			f.byPort[gone].close()
			delete(f.byPort, gone)
		}
	}
	f.order = to.ports
	for _, port := range to.ports {
		if f.byPort[port] == nil {
			f.byPort[port] = newForward(dialer(f.cluster), cmp.Or(f.local[port], localPort(port)), f.progress)
		}
		f.byPort[port].point(place{namespace: to.namespace, pod: to.pod, port: port})
	}
}

// move makes the ways that are made from now on lead into another cluster.
func (f *forwards) move(c *cluster) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.cluster, f.to = c, destination{}
	for _, one := range f.byPort {
		one.move(dialer(c))
	}
}

// pod is where new connections go; "" is nowhere.
func (f *forwards) pod() string {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return f.to.pod
}

// describe says where they lead, the best first.
func (f *forwards) describe() []ui.Address {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	var list []ui.Address
	for _, port := range f.order {
		if address := f.byPort[port].describe(); address.URL != "" {
			list = append(list, address)
		}
	}
	return list
}

// close gives all ports back, at once: each may wait a moment for a connection that is just being opened.
func (f *forwards) close() {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	var wait sync.WaitGroup
	for _, one := range f.byPort {
		wait.Go(one.close)
	}
	wait.Wait()
}
