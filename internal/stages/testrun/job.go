package testrun

import (
	"path"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	cartov1alpha1 "slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/api/slipway/v1alpha1"
)

const (
	// testAccount is the service account of test pods. It is bound to no role, and its token is not mounted.
	testAccount = "slipway-test"
	// nonroot is the user that images without root use, too.
	nonroot int64 = 65532
	// defaultTimeout is how long tests may take that do not say.
	defaultTimeout = 10 * time.Minute

	workspace = "/workspace"
	cacheDir  = "/cache"
	// nodeCache is on the node; `up` makes it, for all to write to.
	nodeCache   = "/var/cache/slipway/tests"
	cacheVolume = "cache"

	fetchContainer = "fetch"
	testContainer  = "test"
)

// means are what the cluster lets a Job have.
type means struct {
	image   string // slipwayd's own, which fetches the source
	cache   bool   // whether there is a folder of the node for caches
	inPlace bool   // whether the cluster mounts images as volumes, so that the tests' container can fetch
}

// newJob is the Job of a run. Its name is the run's, so that a run never has two.
func newJob(run *v1alpha1.TestRun, with means) *batchv1.Job {
	definition := run.Spec.Definition
	timeout := defaultTimeout
	if definition.Timeout != nil && definition.Timeout.Duration > 0 {
		timeout = definition.Timeout.Duration
	}
	marks := map[string]string{LabelRun: run.Name, "app.kubernetes.io/managed-by": "slipway"}
	// By the Runnable the logs of a workload's stage are found. An annotation has a name for which a label has no room.
	const runnable = cartov1alpha1.LabelRunnableName
	copied(marks, run.Labels, runnable)
	notes := map[string]string{}
	copied(notes, run.Annotations, runnable)
	return &batchv1.Job{
		TypeMeta: metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: run.Namespace, Name: run.Name, Labels: marks,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(run, v1alpha1.GroupVersion.WithKind("TestRun"))},
		},
		Spec: batchv1.JobSpec{
			BackoffLimit:          new(int32(0)), // a red test is red; a flaky one is to be seen
			ActiveDeadlineSeconds: new(int64(timeout.Seconds())),
			Template:              corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: marks, Annotations: notes}, Spec: newPod(run, with)},
		},
	}
}

func copied(to, from map[string]string, key string) {
	if value, is := from[key]; is {
		to[key] = value
	}
}

func newPod(run *v1alpha1.TestRun, with means) corev1.PodSpec {
	definition := run.Spec.Definition
	user := nonroot
	if definition.RunAsUser != nil {
		user = *definition.RunAsUser
	}
	volumes := []corev1.Volume{emptyDir("workspace"), emptyDir("tmp")}
	mounts := []corev1.VolumeMount{{Name: "workspace", MountPath: workspace}, {Name: "tmp", MountPath: "/tmp"}}
	if with.cache {
		volumes = append(volumes, corev1.Volume{Name: cacheVolume, VolumeSource: corev1.VolumeSource{
			HostPath: &corev1.HostPathVolumeSource{Path: nodeCache, Type: new(corev1.HostPathDirectoryOrCreate)},
		}})
		mounts = append(mounts, corev1.VolumeMount{Name: cacheVolume, MountPath: cacheDir})
	}
	restricted := &corev1.SecurityContext{
		AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true),
		Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
	pod := corev1.PodSpec{
		RestartPolicy:                corev1.RestartPolicyNever,
		ServiceAccountName:           testAccount,
		AutomountServiceAccountToken: new(false),
		EnableServiceLinks:           new(false),
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot: new(true), RunAsUser: &user, RunAsGroup: &user, FSGroup: &user,
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		Volumes: volumes,
		Containers: []corev1.Container{{
			Name: testContainer, Image: definition.Image, Command: definition.Command, Env: variables(run, with.cache),
			WorkingDir:               path.Join(workspace, path.Join("/", run.Spec.Source.SubPath)),
			TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
			VolumeMounts:             mounts,
			SecurityContext:          restricted,
			Resources:                definition.Resources,
		}},
	}
	if with.inPlace && roomToFetch(definition.Resources.Limits) {
		fetchInPlace(&pod, run, with.image)
	} else {
		fetchBefore(&pod, run, with.image, restricted)
	}
	return pod
}

func emptyDir(name string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}
}

// variables of the test command. Those of the definition come last, so that they win.
func variables(run *v1alpha1.TestRun, cache bool) []corev1.EnvVar {
	caches := "/tmp/cache"
	if cache {
		caches = path.Join(cacheDir, run.Namespace) // a folder that another user made cannot be written to, so each has its own
		if user := run.Spec.Definition.RunAsUser; user != nil {
			caches += "-" + strconv.FormatInt(*user, 10)
		}
	}
	all := []corev1.EnvVar{
		{Name: "HOME", Value: "/tmp"},
		{Name: "XDG_CACHE_HOME", Value: caches},
		{Name: "GOCACHE", Value: path.Join(caches, "go-build")},
		{Name: "GOMODCACHE", Value: path.Join(caches, "go-mod")},
		{Name: "npm_config_cache", Value: path.Join(caches, "npm")},
		{Name: "SOURCE_URL", Value: run.Spec.Source.URL},
		{Name: "SOURCE_REVISION", Value: run.Spec.Source.Revision},
	}
	for _, list := range [][]v1alpha1.TestVariable{effectiveParams(run.Spec), run.Spec.Definition.Env} {
		for _, variable := range list {
			all = append(all, corev1.EnvVar{Name: variable.Name, Value: variable.Value})
		}
	}
	return unique(all)
}

// unique keeps the last of the variables that have one name, in the place of the first.
func unique(all []corev1.EnvVar) []corev1.EnvVar {
	at := map[string]int{}
	var kept []corev1.EnvVar
	for _, variable := range all {
		if i, there := at[variable.Name]; there {
			kept[i] = variable
			continue
		}
		at[variable.Name] = len(kept)
		kept = append(kept, variable)
	}
	return kept
}
