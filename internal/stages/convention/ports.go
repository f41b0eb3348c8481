package convention

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const (
	// defaultPort is where a web app listens whose image does not say.
	defaultPort = 8080
	// portVariable tells a program where to listen, as it does on most platforms.
	portVariable = "PORT"
)

// addPorts declares the ports that an image exposes, and tells the program the first of them.
func addPorts(template *corev1.PodTemplateSpec, images configs) (applied []string) {
	declared, told := false, false
	for _, container := range targets(template) {
		if len(container.Ports) == 0 {
			ports := exposed(images.of(container))
			if kind := template.Labels[labelType]; len(ports) == 0 && (kind == "web" || kind == "server") {
				ports = []int32{defaultPort}
			}
			for _, port := range ports {
				container.Ports = append(container.Ports, corev1.ContainerPort{Name: portName(template, len(container.Ports)), ContainerPort: port, Protocol: corev1.ProtocolTCP})
				declared = true
			}
		}
		if len(container.Ports) > 0 && !hasVariable(container, portVariable) {
			if _, set := imageVariable(images.of(container), portVariable); !set {
				addVariable(container, portVariable, strconv.Itoa(int(container.Ports[0].ContainerPort)))
				told = true
			}
		}
	}
	if declared {
		applied = append(applied, "ports")
	}
	if told {
		applied = append(applied, "port-variable")
	}
	return applied
}

// portName is http for a pod's first port, and nothing for the others, since names must differ.
func portName(template *corev1.PodTemplateSpec, before int) string {
	if before > 0 {
		return ""
	}
	for _, container := range template.Spec.Containers {
		if slices.ContainsFunc(container.Ports, func(p corev1.ContainerPort) bool { return p.Name == "http" }) {
			return ""
		}
	}
	return "http"
}

// exposed are the TCP ports of an image, the lowest first.
func exposed(config v1.Config) []int32 {
	var ports []int32
	for written := range config.ExposedPorts {
		number, protocol, _ := strings.Cut(written, "/")
		port, err := strconv.ParseUint(number, 10, 16)
		if err == nil && port > 0 && cmp.Or(protocol, "tcp") == "tcp" {
			ports = append(ports, int32(port))
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

// addProbes makes a container ready when its first port accepts connections.
func addProbes(template *corev1.PodTemplateSpec, _ configs) []string {
	var applied []string
	for _, container := range targets(template) {
		if container.ReadinessProbe != nil || len(container.Ports) == 0 {
			continue
		}
		port := intstr.FromInt32(container.Ports[0].ContainerPort)
		if container.Ports[0].Name != "" {
			port = intstr.FromString(container.Ports[0].Name)
		}
		container.ReadinessProbe = &corev1.Probe{
			ProbeHandler:  corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: port}},
			PeriodSeconds: 1, // the default of ten seconds is most of a developer's waiting
		}
		applied = []string{"readiness"}
	}
	return applied
}
