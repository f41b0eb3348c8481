// Package lint looks for mistakes in supply chains, deliveries and templates without a cluster: what the API server
// would refuse, and what it takes although it cannot work. It reads no files, and knows nothing of the objects that
// are in a cluster.
package lint

import (
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"

	"slipway.dev/slipway/internal/supplychain/admission"
	"slipway.dev/slipway/internal/supplychain/manifest"
)

// Source is a file to look at.
type Source struct {
	Name string
	Data []byte
}

// Level says how bad a finding is.
type Level string

// The levels.
const (
	// Error : it is refused, or cannot work.
	Error Level = "error"
	// Warning : it is most likely a mistake.
	Warning Level = "warning"
)

// Finding is one mistake.
type Finding struct {
	File string `json:"file"`
	// Line is where the document begins, counted from 1.
	Line int `json:"line"`
	// Object is Kind/name; empty for a document that cannot be read.
	Object  string `json:"object,omitempty"`
	Level   Level  `json:"level"`
	Message string `json:"message"`
}

// Report is what Check returns.
type Report struct {
	// Objects is how many objects of carto.run were looked at; those of other groups are passed over.
	Objects  int
	Findings []Finding
}

// Check looks at all objects in sources. Chains are compared with the templates that they name where these are in
// sources too. Findings are in the order of the sources.
func Check(sources []Source) (*Report, error) {
	schemas, err := readSchemas()
	if err != nil {
		return nil, err
	}
	return check(sources, schemas), nil
}

func check(sources []Source, schemas schemas) *Report {
	report := &Report{}
	known := &objects{templates: map[string]*templateUse{}}
	var read []*document
	for _, source := range sources {
		for _, part := range manifest.Split(source.Data) {
			d := &document{file: source.Name, line: part.Line}
			var err error
			d.object, err = manifest.Decode(part.Data)
			if errors.Is(err, manifest.ErrForeign) {
				continue
			}
			report.Objects++
			read = append(read, d)
			if err != nil {
				d.fail("%v", err)
			}
			if d.object == nil {
				continue
			}
			d.failEach(schemas.check(part.Data))
			if !slices.ContainsFunc(d.findings, isError) {
				known.add(d)
			}
		}
	}
	for _, d := range read {
		if d.object != nil && !slices.ContainsFunc(d.findings, isError) {
			d.check(known)
		}
		report.Findings = append(report.Findings, d.findings...)
	}
	return report
}

func isError(f Finding) bool { return f.Level == Error }

// document is one object and what was found in it.
type document struct {
	file     string
	line     int
	object   runtime.Object
	findings []Finding
}

func (d *document) add(level Level, format string, arguments ...any) {
	name := ""
	if d.object != nil {
		name = d.object.GetObjectKind().GroupVersionKind().Kind
		if accessor, err := meta.Accessor(d.object); err == nil {
			name += "/" + accessor.GetName()
		}
	}
	finding := Finding{File: d.file, Line: d.line, Object: name, Level: level, Message: fmt.Sprintf(format, arguments...)}
	if !slices.Contains(d.findings, finding) {
		d.findings = append(d.findings, finding)
	}
}

func (d *document) fail(format string, arguments ...any) { d.add(Error, format, arguments...) }
func (d *document) warn(format string, arguments ...any) { d.add(Warning, format, arguments...) }

// failEach adds errors, if there are any.
func (d *document) failEach(errs []error) {
	for _, err := range errs {
		d.fail("%v", err)
	}
}

// check applies all rules that look at more than the form.
func (d *document) check(known *objects) {
	if err := admission.Validate(d.object); err != nil {
		d.fail("%v", err)
	}
	for _, warning := range admission.Warnings(d.object) {
		d.warn("%s", warning)
	}
	if used := templateOf(d.object); used != nil {
		d.checkTemplate(used, known)
	}
	if chain := chainOf(d.object); chain != nil {
		d.checkChain(chain, known)
	}
}
