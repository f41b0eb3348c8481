package controller

import (
	"maps"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what the controllers count besides what controller-runtime counts by itself. The zero value and nil count
// nothing.
type metrics struct {
	duration *prometheus.HistogramVec
	stamped  *stampedCollector
}

// newMetrics registers the metrics with to, where that is not nil.
func newMetrics(to prometheus.Registerer) (*metrics, error) {
	if to == nil {
		return nil, nil
	}
	m := &metrics{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "slipway_realize_duration_seconds",
			Help: "How long it took to realise an owner once: to choose, render, apply and judge all that it stamps.",
			// From what nothing but cached reads takes up to an API server that is slow.
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
		}, []string{"owner"}),
		stamped: &stampedCollector{description: prometheus.NewDesc("slipway_stamped_objects",
			"How many objects there are that were stamped for owners of a kind.", []string{"owner", "resource"}, nil)},
	}
	for _, collector := range []prometheus.Collector{m.duration, m.stamped} {
		if err := to.Register(collector); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// realized counts a realisation of an owner of a kind that began at begin.
func (m *metrics) realized(owner string, begin time.Time) {
	if m != nil {
		m.duration.WithLabelValues(owner).Observe(time.Since(begin).Seconds())
	}
}

// count has the objects counted that were stamped for owners of a kind. It is for the time of setup.
func (m *metrics) count(owner string, objects *stampedObjects) {
	if m == nil {
		return
	}
	m.stamped.owners = append(m.stamped.owners, owner)
	m.stamped.objects = append(m.stamped.objects, objects)
}

// stampedCollector counts stamped objects when it is asked, in the watches that there are anyway.
type stampedCollector struct {
	description *prometheus.Desc
	owners      []string
	objects     []*stampedObjects
}

// Describe tells the one metric.
func (c *stampedCollector) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- c.description
}

// Collect counts.
func (c *stampedCollector) Collect(to chan<- prometheus.Metric) {
	for i, objects := range c.objects {
		for resource, count := range objects.count() {
			to <- prometheus.MustNewConstMetric(c.description, prometheus.GaugeValue, float64(count), c.owners[i], resource)
		}
	}
}

// count returns how many objects of each watched kind there are, by plural.group. A kind that is watched in two
// versions is counted once.
func (s *stampedObjects) count() map[string]int {
	s.mu.Lock()
	kinds := maps.Clone(s.kinds)
	s.mu.Unlock()
	counts := map[string]int{}
	for kind, informer := range kinds {
		name := kind.GroupResource().String()
		counts[name] = max(counts[name], len(informer.GetStore().ListKeys()))
	}
	return counts
}
