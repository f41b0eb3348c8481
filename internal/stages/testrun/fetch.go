package testrun

import (
	"context"
	"fmt"
	"path"
	"strings"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/discovery"

	"slipway.dev/slipway/api/slipway/v1alpha1"
)

// A source is fetched by slipwayd. In a container of its own that takes more than a second, on a node that has nothing
// else to do: the kubelet looks once a second which containers have ended. So, where the cluster can, slipwayd is mounted
// into the container of the tests, and becomes the test command when it has the source.
const (
	programs = "/slipway" // where slipwayd's image is mounted
	program  = programs + "/slipwayd"
)

// mountsImages is the first Kubernetes in which volumes of images cannot be switched off.
var mountsImages = version.MustParseGeneric("1.36")

// leastToFetch is a limit below which slipwayd might be killed in the tests' container: it needs 30 MiB for a source of
// many small files.
var leastToFetch = resource.MustParse("128Mi")

func roomToFetch(limits corev1.ResourceList) bool {
	memory, limited := limits[corev1.ResourceMemory]
	return !limited || memory.Cmp(leastToFetch) >= 0
}

// fetchBefore adds a container that fetches the source before the tests' container starts.
func fetchBefore(pod *corev1.PodSpec, run *v1alpha1.TestRun, image string, security *corev1.SecurityContext) {
	pod.InitContainers = []corev1.Container{{
		Name: fetchContainer, Image: image, Args: fetchArguments(run),
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
		VolumeMounts:             []corev1.VolumeMount{{Name: "workspace", MountPath: workspace}},
		SecurityContext:          security,
		Resources:                corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("32Mi")}},
	}}
}

// fetchInPlace has the tests' container fetch the source itself.
func fetchInPlace(pod *corev1.PodSpec, run *v1alpha1.TestRun, image string) {
	pod.Volumes = append(pod.Volumes, corev1.Volume{Name: "slipway", VolumeSource: corev1.VolumeSource{
		Image: &corev1.ImageVolumeSource{Reference: image, PullPolicy: corev1.PullIfNotPresent},
	}})
	test := &pod.Containers[0]
	test.VolumeMounts = append(test.VolumeMounts, corev1.VolumeMount{Name: "slipway", MountPath: programs, ReadOnly: true})
	// The folder of the source is not there yet, and the runtime would make it, as root.
	arguments := append([]string{program}, fetchArguments(run)...)
	if sub := path.Join("/", run.Spec.Source.SubPath); sub != "/" {
		arguments = append(arguments, "--in="+strings.TrimPrefix(sub, "/"))
	}
	test.WorkingDir = workspace
	test.Command = append(append(arguments, "--"), test.Command...)
}

func fetchArguments(run *v1alpha1.TestRun) []string {
	arguments := []string{"fetch"}
	if run.Spec.Source.Digest != "" {
		arguments = append(arguments, "--digest="+run.Spec.Source.Digest)
	}
	return append(arguments, run.Spec.Source.URL, workspace)
}

// What `slipwayd fetch URL DIR -- COMMAND` says and ends with when there is no COMMAND's own end to pass on: the words of
// container engines, so that a test that ends with the same codes is told apart by what it says.
const (
	notFetched   = 125
	notRun       = 126
	notThere     = 127
	fetchSpeaker = "slipwayd: "
)

// endedEarly says what is wrong when the tests' container ended before the test command had begun; "" when it did begin.
func endedEarly(code int32, message string) string {
	switch {
	case !strings.HasPrefix(message, fetchSpeaker):
		return ""
	case code == notFetched:
		return "The source could not be fetched"
	case code == notRun || code == notThere:
		return "The test command could not be run"
	}
	return ""
}

// server asks the API server, once, for what it can do.
type server struct {
	api discovery.ServerVersionInterface
	can atomic.Pointer[bool]
}

// mountsImages says whether pods can have volumes of images.
func (s *server) mountsImages(ctx context.Context) (bool, error) {
	if can := s.can.Load(); can != nil {
		return *can, nil
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	said, err := s.api.ServerVersion()
	if err != nil {
		return false, fmt.Errorf("asking the API server for its version: %w", err)
	}
	is, err := version.ParseGeneric(said.GitVersion)
	if err != nil {
		return false, fmt.Errorf("reading the API server's version: %w", err)
	}
	can := is.AtLeast(mountsImages)
	s.can.Store(&can)
	return can, nil
}
