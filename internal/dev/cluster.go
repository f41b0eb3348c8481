package dev

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// cluster is the way to the environment's cluster, and what is known of it.
type cluster struct {
	config  *rest.Config
	objects dynamic.Interface
	typed   kubernetes.Interface
	around  *surroundings
}

// connect reaches the cluster and makes sure that it is a slipway environment; r hears whether it answers, and up is the
// command that makes one.
func connect(ctx context.Context, kube *rest.Config, r *reach, up string) (*cluster, error) {
	// Watches last as long as the session: a client's time limit would end them.
	c := &cluster{config: rest.CopyConfig(kube)}
	c.config.Timeout = 0
	c.config.Wrap(r.wrap)
	typed := rest.CopyConfig(c.config)
	// As the cluster's own watchers ask: the API server encodes a pod once for all of them, and needs no JSON of it.
	typed.ContentType, typed.AcceptContentTypes = runtime.ContentTypeProtobuf, runtime.ContentTypeProtobuf+","+runtime.ContentTypeJSON
	var err error
	if c.typed, err = kubernetes.NewForConfig(typed); err != nil {
		return nil, err
	}
	if c.objects, err = dynamic.NewForConfig(c.config); err != nil {
		return nil, err
	}
	if c.around, err = lookAround(ctx, c.typed, up); err != nil {
		return nil, err
	}
	return c, nil
}
