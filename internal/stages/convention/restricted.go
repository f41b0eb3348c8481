package convention

import (
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	corev1 "k8s.io/api/core/v1"
)

// someUser runs a program whose image would run it as root, or does not say by number as whom.
const someUser int64 = 1000

// restrict adds what the restricted pod security standard asks for, at each container, so that what the pod or another
// container says stays as it is.
func restrict(template *corev1.PodTemplateSpec, images configs) []string {
	pod := template.Spec.SecurityContext
	if pod == nil {
		pod = &corev1.PodSecurityContext{}
	}
	changed := false
	if pod.SeccompProfile == nil {
		pod.SeccompProfile = &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}
		changed = true
	}
	for _, containers := range [][]corev1.Container{template.Spec.InitContainers, template.Spec.Containers} {
		for i := range containers {
			changed = restrictContainer(&containers[i], pod, images.of(&containers[i])) || changed
		}
	}
	if !changed {
		return nil
	}
	template.Spec.SecurityContext = pod
	return []string{"restricted"}
}

func restrictContainer(container *corev1.Container, pod *corev1.PodSecurityContext, image v1.Config) (changed bool) {
	is := container.SecurityContext
	if is == nil {
		is = &corev1.SecurityContext{}
	}
	if is.AllowPrivilegeEscalation == nil && (is.Privileged == nil || !*is.Privileged) {
		is.AllowPrivilegeEscalation, changed = new(false), true
	}
	if is.Capabilities == nil {
		is.Capabilities, changed = &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}, true
	}
	user := is.RunAsUser
	if user == nil {
		user = pod.RunAsUser
	}
	if is.RunAsNonRoot == nil && pod.RunAsNonRoot == nil && (user == nil || *user != 0) {
		is.RunAsNonRoot, changed = new(true), true
		if user == nil && !namesUser(image.User) {
			is.RunAsUser = new(someUser)
		}
	}
	if changed {
		container.SecurityContext = is
	}
	return changed
}

// namesUser says whether an image's user is one of which Kubernetes can tell that it is not root: a number.
func namesUser(user string) bool {
	number, _, _ := strings.Cut(user, ":")
	id, err := strconv.ParseInt(number, 10, 64)
	return err == nil && id != 0
}
