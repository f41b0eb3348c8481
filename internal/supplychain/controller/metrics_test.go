package controller

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	m, err := newMetrics(registry)
	if err != nil {
		t.Fatal(err)
	}
	m.count("Workload", newStampedObjects(ownerLabels{}, nil, nil, nil, nil))
	m.realized("Workload", time.Now())
	gathered, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	// No kind is watched, so no object is counted.
	if len(gathered) != 1 || gathered[0].GetName() != "slipway_realize_duration_seconds" || gathered[0].GetMetric()[0].GetHistogram().GetSampleCount() != 1 {
		t.Errorf("gathered %v", gathered)
	}
	if _, err := newMetrics(registry); err == nil {
		t.Error("registering twice is no error")
	}
}

func TestNoMetrics(t *testing.T) {
	m, err := newMetrics(nil)
	if err != nil {
		t.Fatal(err)
	}
	m.count("Workload", newStampedObjects(ownerLabels{}, nil, nil, nil, nil))
	m.realized("Workload", time.Now())
}
