package dev

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/hint"
	"slipway.dev/slipway/internal/supplychain/selector"
)

// startsAt is the annotation with which a supply chain says what it must be fed.
const startsAt = "slipway.dev/starts-at"

var (
	workloadResource = v1alpha1.GroupVersion.WithResource("workloads")
	chainResource    = v1alpha1.GroupVersion.WithResource("clustersupplychains")
)

// checkChain makes sure that the workload selects a supply chain, and notes where that starts. It asks the cluster only
// when the workload file is another than at the last time.
func (a *app) checkChain(ctx context.Context, loaded *loadedWorkload) error {
	a.chainless = nil
	if a.checked == loaded.content {
		return nil
	}
	chains, _, err := a.chains(ctx)
	if err != nil {
		return err
	}
	start, err := chainFor(loaded.workload, chains)
	if err != nil {
		a.chainless = loaded.workload
		return fmt.Errorf("%s: %w", loaded.file, err)
	}
	a.checked, a.fromSource = loaded.content, start == startsAtSource
	return nil
}

// chains are those of the cluster, and the resource version of their list.
func (a *app) chains(ctx context.Context) ([]v1alpha1.ClusterSupplyChain, string, error) {
	found, err := a.objects.Resource(chainResource).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, "", hint.Withf(fmt.Errorf("reading the supply chains: %w", err), "`%s` installs what is missing", a.Up)
	}
	chains := make([]v1alpha1.ClusterSupplyChain, len(found.Items))
	for i := range found.Items {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(found.Items[i].Object, &chains[i]); err != nil {
			return nil, "", fmt.Errorf("reading the supply chain %s: %w", found.Items[i].GetName(), err)
		}
	}
	return chains, found.GetResourceVersion(), nil
}

// awaitChain asks for another run when there is a supply chain for a workload that had none: an `up` that is still under
// way, or somebody, makes it.
func (a *app) awaitChain(ctx context.Context, workload *v1alpha1.Workload) {
	const pause = time.Second // after an answer that says nothing
	for ctx.Err() == nil {
		chains, version, err := a.chains(ctx)
		if err == nil {
			if _, missing := chainFor(workload, chains); missing == nil {
				a.ask(trigger{why: "there is a supply chain for it now"})
				return
			}
			err = a.nextOfChains(ctx, version)
		}
		if err != nil {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
		}
	}
}

// nextOfChains returns when something about supply chains has changed since a version.
func (a *app) nextOfChains(ctx context.Context, version string) error {
	changes, err := a.objects.Resource(chainResource).Watch(ctx, metav1.ListOptions{ResourceVersion: version})
	if err != nil {
		return err
	}
	defer changes.Stop()
	select {
	case event, open := <-changes.ResultChan():
		if !open || event.Type == watch.Error {
			return errors.New("the watch has ended")
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// chainFor says where the chain starts that is for a workload, or why there is none.
func chainFor(workload *v1alpha1.Workload, chains []v1alpha1.ClusterSupplyChain) (start string, err error) {
	slices.SortFunc(chains, func(a, b v1alpha1.ClusterSupplyChain) int { return strings.Compare(a.Name, b.Name) })
	selectors := make([]selector.Selector, len(chains))
	for i := range chains {
		selectors[i] = selector.OfChain(&chains[i])
	}
	best, _ := selector.Best(selectors, workload)
	switch {
	case len(chains) == 0:
		return "", hint.With(fmt.Errorf("there is no supply chain in the cluster for workload %s", workload.Name),
			"install some with `slipway up --profile basic`, or apply your own")
	case len(best) == 0:
		return "", hint.Withf(fmt.Errorf("the labels of workload %s (%s) select no supply chain", workload.Name, inOrder(workload.Labels)),
			"there are these, with what they ask for: %s", describeChains(chains))
	case len(best) > 1:
		var names []string
		for _, i := range best {
			names = append(names, chains[i].Name)
		}
		return "", hint.With(fmt.Errorf("the labels of workload %s (%s) select several supply chains: %s", workload.Name, inOrder(workload.Labels), strings.Join(names, ", ")),
			"change the labels so that one chain asks for more of them than the others, or remove a chain")
	}
	chain := chains[best[0]]
	switch at := chain.Annotations[startsAt]; at {
	case startsAtSource:
		return startsAtSource, nil
	case startsAtImage, "":
		return startsAtImage, nil
	default:
		return "", hint.Withf(fmt.Errorf("the supply chain %s of workload %s starts at %q, and dev feeds images and source", chain.Name, workload.Name, at),
			"its annotation %s must be %s or %s", startsAt, startsAtImage, startsAtSource)
	}
}

func describeChains(chains []v1alpha1.ClusterSupplyChain) string {
	var parts []string
	for _, chain := range chains {
		asks := inOrder(chain.Spec.Selector)
		for _, expression := range chain.Spec.SelectorMatchExpressions {
			asks = join(asks, strings.TrimSpace(fmt.Sprintf("%s %s %s", expression.Key, expression.Operator, strings.Join(expression.Values, ","))))
		}
		for _, field := range chain.Spec.SelectorMatchFields {
			asks = join(asks, strings.TrimSpace(fmt.Sprintf("field %s %s %s", field.Key, field.Operator, strings.Join(field.Values, ","))))
		}
		parts = append(parts, chain.Name+" ("+asks+")")
	}
	return strings.Join(parts, "; ")
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + ", " + b
}

func inOrder(labels map[string]string) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		parts = append(parts, key+": "+labels[key])
	}
	return strings.Join(parts, ", ")
}
