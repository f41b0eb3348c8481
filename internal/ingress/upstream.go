package ingress

import (
	"fmt"
	"net"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// Upstream is where a route leads: the address of a Service's port, or the reason that there is none.
type Upstream struct {
	Namespace string
	Service   string
	// Address is host:port; empty when there is a Problem.
	Address string
	// Problem is a sentence without its full stop, for a person; empty when all is well.
	Problem string
}

// serviceIndex finds Services by namespace/name.
type serviceIndex map[string]*corev1.Service

func index(services []corev1.Service) serviceIndex {
	found := make(serviceIndex, len(services))
	for i := range services {
		found[services[i].Namespace+"/"+services[i].Name] = &services[i]
	}
	return found
}

// resolve turns a backend into an upstream.
func (x serviceIndex) resolve(namespace string, backend networkingv1.IngressBackend) Upstream {
	upstream := Upstream{Namespace: namespace}
	if backend.Service == nil {
		upstream.Problem = "the backend is not a Service, and nothing else is served here"
		return upstream
	}
	upstream.Service = backend.Service.Name
	service, found := x[namespace+"/"+upstream.Service]
	if !found {
		upstream.Problem = fmt.Sprintf("there is no Service %q in namespace %q", upstream.Service, namespace)
		return upstream
	}
	port, found := servicePort(service, backend.Service.Port)
	if !found {
		upstream.Problem = fmt.Sprintf("Service %q has no port %s", upstream.Service, portText(backend.Service.Port))
		return upstream
	}
	host := service.Spec.ClusterIP
	switch {
	case service.Spec.Type == corev1.ServiceTypeExternalName:
		host = service.Spec.ExternalName
	case host == corev1.ClusterIPNone || host == "":
		upstream.Problem = fmt.Sprintf("Service %q is headless: it has no cluster IP to send requests to", upstream.Service)
		return upstream
	}
	upstream.Address = net.JoinHostPort(host, strconv.Itoa(int(port)))
	return upstream
}

// servicePort finds the port that a backend names or numbers. A number that an ExternalName service does not
// list is taken as it is, since such a service need not list any.
func servicePort(service *corev1.Service, wanted networkingv1.ServiceBackendPort) (int32, bool) {
	for _, port := range service.Spec.Ports {
		if (wanted.Name != "" && port.Name == wanted.Name) || (wanted.Name == "" && port.Port == wanted.Number) {
			return port.Port, true
		}
	}
	if service.Spec.Type == corev1.ServiceTypeExternalName && wanted.Number != 0 {
		return wanted.Number, true
	}
	return 0, false
}

func portText(port networkingv1.ServiceBackendPort) string {
	if port.Name != "" {
		return strconv.Quote(port.Name)
	}
	return strconv.Itoa(int(port.Number))
}
