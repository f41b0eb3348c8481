package dev

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/hint"
	"slipway.dev/slipway/internal/kube"
)

// loadedWorkload is a workload file that was found good.
type loadedWorkload struct {
	file     string
	content  string // of the file
	object   *unstructured.Unstructured
	workload *v1alpha1.Workload
}

// readWorkload reads a workload file and gives the workload its namespace: the one asked for, else the file's, else
// the fallback ("" means default).
func readWorkload(file, namespace, fallback string) (*loadedWorkload, error) {
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, hint.With(fmt.Errorf("there is no workload file %s", file),
			"write one (examples/hello/workload.yaml shows how), or name it with -f FILE")
	}
	if err != nil {
		return nil, fmt.Errorf("reading the workload: %w", err)
	}
	loaded, err := parseWorkload(content)
	if err != nil {
		err = fmt.Errorf("%s: %w", file, err)
		if len(hint.Of(err)) > 0 {
			return nil, err
		}
		return nil, hint.With(err, "mend the file, and save it: `kubectl explain workload.spec` names the fields, examples/hello/workload.yaml is a whole one")
	}
	loaded.file = file
	for _, candidate := range []string{namespace, loaded.object.GetNamespace(), fallback, "default"} {
		if candidate != "" {
			loaded.object.SetNamespace(candidate)
			loaded.workload.SetNamespace(candidate)
			break
		}
	}
	return loaded, nil
}

const workloadKind = "Workload of carto.run/v1alpha1"

// parseWorkload accepts exactly one Workload, with no field that the kind does not have: the cluster would drop it
// without a word.
func parseWorkload(content []byte) (*loadedWorkload, error) {
	if err := yaml.UnmarshalStrict(firstDocument(content), new(any)); err != nil {
		return nil, fmt.Errorf("it does not parse: %w", plainYAML(err))
	}
	objects, err := kube.Decode(content)
	if err != nil {
		return nil, plainYAML(err)
	}
	switch {
	case len(objects) == 0:
		return nil, errors.New("it is empty: it must hold a " + workloadKind)
	case len(objects) > 1:
		return nil, fmt.Errorf("it holds %d objects: it must hold one %s, and nothing else", len(objects), workloadKind)
	}
	object := objects[0]
	if object.GetAPIVersion() != v1alpha1.GroupVersion.String() || object.GetKind() != v1alpha1.KindWorkload {
		return nil, fmt.Errorf("it holds a %s of %s: it must hold a %s", object.GetKind(), object.GetAPIVersion(), workloadKind)
	}
	delete(object.Object, "status")
	plain, err := object.MarshalJSON()
	if err != nil {
		return nil, err
	}
	workload := &v1alpha1.Workload{}
	if err := json.Unmarshal(plain, workload); err != nil {
		return nil, fmt.Errorf("it is not a %s: %w", workloadKind, plainYAML(err))
	}
	// The same again for the fields that the kind does not have, which this alone names in full.
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, workload, true); err != nil {
		return nil, fmt.Errorf("it is not a %s: %w", workloadKind, plainYAML(err))
	}
	if object.GetName() == "" {
		return nil, errors.New("the workload has no metadata.name")
	}
	// The name becomes that of a Service, a label's value and part of a host name.
	if wrong := validation.IsDNS1035Label(object.GetName()); len(wrong) > 0 {
		return nil, fmt.Errorf("the workload's name %q is not valid: %s", object.GetName(), wrong[0])
	}
	if len(object.GetLabels()) == 0 {
		return nil, hint.With(errors.New("the workload has no labels, and labels choose its supply chain"),
			"add the label apps.tanzu.vmware.com/workload-type: web")
	}
	return &loadedWorkload{content: string(content), object: object, workload: workload}, nil
}

// firstDocument leaves out what follows a line of three dashes, for a first look at the syntax: its errors have the
// line, which those of a stream have not.
func firstDocument(content []byte) []byte {
	trimmed := bytes.TrimPrefix(content, []byte("---\n"))
	first, _, _ := bytes.Cut(trimmed, []byte("\n---"))
	if len(trimmed) != len(content) {
		return append([]byte("---\n"), first...)
	}
	return first
}

// plainYAML takes the names of libraries out of an error.
func plainYAML(err error) error {
	text := err.Error()
	for _, noise := range []string{"error converting YAML to JSON: ", "error unmarshaling JSON: ", "while decoding JSON: ", "json: ", "yaml: ", "strict decoding error: "} {
		text = strings.ReplaceAll(text, noise, "")
	}
	return errors.New(text)
}
