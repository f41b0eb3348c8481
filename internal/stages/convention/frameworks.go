package convention

import (
	"path"
	"strconv"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	corev1 "k8s.io/api/core/v1"
)

// springBootLabel stands on the images that the Spring Boot buildpack makes, with the framework's version.
const springBootLabel = "org.springframework.boot.version"

// actuatorPort is where a Spring Boot app of these platforms serves its actuator.
const actuatorPort = 8081

// addLiveView adds the labels by which App Live View finds an app; where to look and how is known of Spring Boot alone.
func addLiveView(template *corev1.PodTemplateSpec, images configs) []string {
	labels := map[string]string{"tanzu.app.live.view": "true"}
	if name := template.Labels[labelWorkload]; name != "" {
		labels["tanzu.app.live.view.application.name"] = name
	}
	for _, container := range targets(template) {
		if images.of(container).Labels[springBootLabel] != "" {
			labels["tanzu.app.live.view.application.flavours"] = "spring-boot"
			labels["tanzu.app.live.view.application.actuator.port"] = strconv.Itoa(actuatorPort)
		}
	}
	if !addLabels(template, labels) {
		return nil
	}
	return []string{"labels"}
}

// adaptToNode makes a Node.js program run as in production, unless it says otherwise.
func adaptToNode(template *corev1.PodTemplateSpec, images configs) []string {
	var applied []string
	for _, container := range targets(template) {
		config := images.of(container)
		if _, set := imageVariable(config, "NODE_ENV"); set || !runsNode(container, config) || hasVariable(container, "NODE_ENV") {
			continue
		}
		addVariable(container, "NODE_ENV", "production")
		applied = []string{"node-env"}
	}
	return applied
}

// runsNode recognises the official images, by the variable that they set, and those that start node.
func runsNode(container *corev1.Container, config v1.Config) bool {
	if _, official := imageVariable(config, "NODE_VERSION"); official {
		return true
	}
	for _, command := range [][]string{container.Command, config.Entrypoint, config.Cmd} {
		if len(command) > 0 {
			return path.Base(command[0]) == "node" || path.Base(command[0]) == "npm"
		}
	}
	return false
}
