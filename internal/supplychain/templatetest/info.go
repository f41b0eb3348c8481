package templatetest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

// The files of a folder.
const (
	infoFile           = "info.yaml"
	templateFile       = "template.yaml"
	templateValuesFile = "template-ytt-values.yaml"
	workloadFile       = "workload.yaml"
	expectedFile       = "expected.yaml"
	chainFiles         = "supply-chain*.yaml"
	chainValuesFile    = "supply-chain-ytt-values.yaml"
)

// info is a folder's info.yaml. Paths are relative to the folder.
type info struct {
	Metadata struct {
		Name        string `json:"name"`
		Description string `json:"description"`
	} `json:"metadata"`
	Given struct {
		Template struct {
			Path    string `json:"path"`
			YttPath string `json:"yttPath"`
		} `json:"template"`
		Workload        string     `json:"workload"`
		MockSupplyChain *mockChain `json:"mockSupplyChain"`
		SupplyChain     *struct {
			Paths              []string          `json:"paths"`
			YttPath            string            `json:"yttPath"`
			TargetResourceName string            `json:"targetResourceName"`
			PreviousOutputs    map[string]output `json:"previousOutputs"`
		} `json:"supplyChain"`
	} `json:"given"`
	Expected       string          `json:"expected"`
	Focus          bool            `json:"focus"`
	CompareOptions *compareOptions `json:"compareOptions"`
}

// mockChain stands in for a supply chain.
type mockChain struct {
	BlueprintInputs *inputs                   `json:"blueprintInputs"`
	BlueprintParams []v1alpha1.BlueprintParam `json:"blueprintParams"`
}

// inputs are what the template is given, by the name of the input.
type inputs struct {
	Sources    map[string]source `json:"sources"`
	Images     map[string]image  `json:"images"`
	Configs    map[string]config `json:"configs"`
	Deployment any               `json:"deployment"`
}

type source struct {
	Name     string `json:"name"`
	URL      any    `json:"url"`
	Revision any    `json:"revision"`
}

type image struct {
	Name  string `json:"name"`
	Image any    `json:"image"`
}

type config struct {
	Name   string `json:"name"`
	Config any    `json:"config"`
}

// output is what a resource before the tested one has given.
type output struct {
	Source *source `json:"source"`
	Image  any     `json:"image"`
	Config any     `json:"config"`
}

// compareOptions say what is not compared.
type compareOptions struct {
	IgnoreMetadata       bool     `json:"ignoreMetadata"`
	IgnoreOwnerRefs      bool     `json:"ignoreOwnerRefs"`
	IgnoreLabels         bool     `json:"ignoreLabels"`
	IgnoreMetadataFields []string `json:"ignoreMetadataFields"`
	// NamedCMPOptionFuncs may hold ConvertNumbersToFloatsDuringComparison, which is always so here.
	NamedCMPOptionFuncs []string `json:"namedCMPOptionFuncs"`
}

// settings are what holds for a folder: its own, and where it says nothing those of the folders above.
type settings struct {
	name, description string
	focus             bool

	template, templateValues string
	workload, expected       string

	mock            *mockChain
	chains          []string
	chainValues     string
	target          string
	previousOutputs map[string]output
	compare         compareOptions
}

// within returns the settings of a folder below, or of the first one.
func (s settings) within(dir string) (settings, error) {
	s.name, s.description = "", ""
	own, err := readInfo(filepath.Join(dir, infoFile))
	if err != nil {
		return s, err
	}
	s.name, s.description = own.Metadata.Name, own.Metadata.Description
	s.focus = s.focus || own.Focus
	given := own.Given
	for _, file := range []struct {
		of            *string
		said, usually string
	}{
		{&s.template, given.Template.Path, templateFile},
		{&s.templateValues, given.Template.YttPath, templateValuesFile},
		{&s.workload, given.Workload, workloadFile},
		{&s.expected, own.Expected, expectedFile},
	} {
		if path := inFolder(dir, file.said, file.usually); path != "" {
			*file.of = path
		}
	}
	if own.CompareOptions != nil {
		s.compare = *own.CompareOptions
	}
	if err := s.withChain(dir, own); err != nil {
		return s, fmt.Errorf("%s: %w", filepath.Join(dir, infoFile), err)
	}
	return s, nil
}

// withChain takes up what a folder says about the supply chain; a mock and a real one exclude each other, and the
// folder's own word goes before that of the folders above.
func (s *settings) withChain(dir string, own *info) error {
	chains, err := filepath.Glob(filepath.Join(dir, chainFiles))
	if err != nil {
		return err
	}
	chains = slices.DeleteFunc(chains, func(path string) bool { return filepath.Base(path) == chainValuesFile })
	real, mock := own.Given.SupplyChain, own.Given.MockSupplyChain
	if real != nil && len(real.Paths) > 0 {
		chains = nil
		for _, path := range real.Paths {
			chains = append(chains, filepath.Join(dir, path))
		}
	}
	switch {
	case mock != nil && (real != nil || len(chains) > 0):
		return fmt.Errorf("there is a mockSupplyChain and a supply chain: one of them must go")
	case mock != nil:
		s.mock, s.chains = merged(s.mock, mock), nil
	case len(chains) > 0:
		s.mock, s.chains = nil, chains
	}
	yttPath := ""
	if real != nil {
		yttPath = real.YttPath
		if real.TargetResourceName != "" {
			s.target = real.TargetResourceName
		}
		if real.PreviousOutputs != nil {
			s.previousOutputs = real.PreviousOutputs
		}
	}
	if path := inFolder(dir, yttPath, chainValuesFile); path != "" {
		s.chainValues = path
	}
	return nil
}

// merged is the mock of a folder with what it leaves open from above.
func merged(above, own *mockChain) *mockChain {
	all := *own
	if above != nil && all.BlueprintInputs == nil {
		all.BlueprintInputs = above.BlueprintInputs
	}
	if above != nil && all.BlueprintParams == nil {
		all.BlueprintParams = above.BlueprintParams
	}
	return &all
}

// inFolder returns the path that is said, else that of the file with the usual name if there is one, else "".
func inFolder(dir, said, usually string) string {
	if said != "" {
		return filepath.Join(dir, said)
	}
	path := filepath.Join(dir, usually)
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

func readInfo(path string) (*info, error) {
	read := &info{}
	data, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return read, nil
	}
	if err != nil {
		return nil, err
	}
	encoded, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	unknown, err := json.UnmarshalStrict(encoded, read)
	if err := errors.Join(append(unknown, err)...); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	if options := read.CompareOptions; options != nil {
		for _, name := range options.NamedCMPOptionFuncs {
			if name != "ConvertNumbersToFloatsDuringComparison" {
				return nil, fmt.Errorf("reading %s: namedCMPOptionFuncs: %q is not known; there is ConvertNumbersToFloatsDuringComparison", path, name)
			}
		}
	}
	if mock := read.Given.MockSupplyChain; mock != nil && mock.BlueprintInputs != nil && mock.BlueprintInputs.Deployment != nil {
		return nil, fmt.Errorf("reading %s: blueprintInputs.deployment is not supported: use a supply chain", path)
	}
	return read, nil
}
