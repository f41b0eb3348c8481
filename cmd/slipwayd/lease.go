package main

import (
	"fmt"
	"os"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// podLease is the lease by which replicas agree who reconciles, held in the name of the pod, which the environment
// variable POD_NAME says: a container that the kubelet starts again after a crash then goes on at once, where it would
// otherwise wait until the lease of its own former self has ended. No two containers of one name run in one pod. It is
// nil outside a pod; controller-runtime then makes up a name for the process.
func podLease(config *rest.Config, namespace string) (resourcelock.Interface, error) {
	pod := os.Getenv("POD_NAME")
	if pod == "" {
		return nil, nil
	}
	config = rest.CopyConfig(config)
	config.Timeout = renewDeadline / 2 // a second try must fit in, should one get no answer
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("preparing the lease: %w", err)
	}
	return resourcelock.New(resourcelock.LeasesResourceLock, namespace, leaseName, clients.CoreV1(), clients.CoordinationV1(),
		resourcelock.ResourceLockConfig{Identity: pod})
}
