package controller

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"slipway.dev/slipway/internal/supplychain/realize"
)

// Generate makes an object beside its siblings, if the newest of them asks for something else, and deletes those that
// are not kept. That some cannot be deleted is no error of the resource: it is logged, and tried again.
func (c *cluster) Generate(ctx context.Context, next realize.Generation) ([]*unstructured.Unstructured, error) {
	mapping, err := c.stamped.mapping(next.Object.GroupVersionKind())
	if err != nil {
		return nil, err
	}
	of := &siblings{
		stamped: c.stamped, identity: c.identity, mapping: mapping, namespace: next.Object.GetNamespace(),
		owner: c.owner.GetUID(), labels: next.Siblings,
	}
	all, made, err := of.ensure(ctx, next.Object)
	if of.unwatched {
		c.attention = max(c.attention, attentionFor(next.Object))
	}
	if err != nil {
		return nil, err
	}
	resource := mapping.Resource.GroupResource()
	if made {
		c.note(realize.EventStampedObjectApplied, "Created object [%s/%s]", resource, all[0].GetName())
	}
	removed, err := of.retain(ctx, all, next.Retention, next.Health)
	if err != nil {
		c.left = errors.Join(c.left, err)
		c.stamped.log.Warn("objects that are not kept cannot be deleted", "owner", c.owner.GetName(), "namespace", c.owner.GetNamespace(), "error", err)
	}
	for _, object := range removed {
		c.note(realize.EventStampedObjectRemoved, "Deleted object [%s/%s]", resource, object.GetName())
	}
	return all, nil
}

func (c *cluster) note(reason, format string, arguments ...any) {
	c.applied = append(c.applied, realize.Event{Reason: reason, Message: fmt.Sprintf(format, arguments...)})
}
