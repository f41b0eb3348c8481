package convention

import (
	"maps"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	corev1 "k8s.io/api/core/v1"
)

// annotationTargets names the containers that the built-in conventions are for, with commas between them.
const annotationTargets = "developer.conventions/target-containers"

// labelType is the label of a workload that says what kind of app it is; a pod template carries its workload's labels.
const labelType = "apps.tanzu.vmware.com/workload-type"

// labelWorkload is the label with the workload's name.
const labelWorkload = "carto.run/workload-name"

// configs are the configurations of a template's images, by the image's name as the template has it.
type configs map[string]*v1.ConfigFile

// of returns the configuration of a container's image; an empty one when it is not known.
func (c configs) of(container *corev1.Container) v1.Config {
	if config := c[container.Image]; config != nil {
		return config.Config
	}
	return v1.Config{}
}

// builtIns change a template in place and return what they did, which is nothing where the template says already what
// it wants.
var builtIns = map[string]func(*corev1.PodTemplateSpec, configs) []string{
	"Ports":      addPorts,
	"Probes":     addProbes,
	"Resources":  addResources,
	"Restricted": restrict,
	"LiveView":   addLiveView,
	"NodeJS":     adaptToNode,
}

// targets are the containers that a convention is for: those that the template's annotation names, else all.
func targets(template *corev1.PodTemplateSpec) []*corev1.Container {
	var names []string
	for name := range strings.SplitSeq(template.Annotations[annotationTargets], ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	var found []*corev1.Container
	for i := range template.Spec.Containers {
		if container := &template.Spec.Containers[i]; len(names) == 0 || slices.Contains(names, container.Name) {
			found = append(found, container)
		}
	}
	return found
}

func hasVariable(container *corev1.Container, name string) bool {
	return slices.ContainsFunc(container.Env, func(v corev1.EnvVar) bool { return v.Name == name })
}

func addVariable(container *corev1.Container, name, value string) {
	container.Env = append(container.Env, corev1.EnvVar{Name: name, Value: value})
}

// imageVariable is the value of an environment variable that the image sets.
func imageVariable(config v1.Config, name string) (string, bool) {
	for _, variable := range config.Env {
		if value, found := strings.CutPrefix(variable, name+"="); found {
			return value, true
		}
	}
	return "", false
}

// addLabels adds the labels that are not there, and says whether there was one.
func addLabels(template *corev1.PodTemplateSpec, labels map[string]string) bool {
	added := false
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if _, there := template.Labels[key]; there {
			continue
		}
		if template.Labels == nil {
			template.Labels = map[string]string{}
		}
		template.Labels[key] = labels[key]
		added = true
	}
	return added
}
