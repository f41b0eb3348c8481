package dev

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Status is how a run or a stage ended.
type Status string

// The statuses.
const (
	Passed     Status = "passed"
	Failed     Status = "failed"
	Skipped    Status = "skipped"    // not reached, since another stage failed
	Superseded Status = "superseded" // ended by a newer save, or by the user
)

// Report tells how a run went. Its JSON form, with these names, is what --report writes.
type Report struct {
	Run       int           `json:"run"`                 // 1 for the first
	Cause     []string      `json:"cause,omitempty"`     // the files that were saved; none for the first run
	Namespace string        `json:"namespace,omitempty"` // of the workload
	Workload  string        `json:"workload,omitempty"`  // its name
	Image     string        `json:"image,omitempty"`     // repository@digest, once it was pushed
	Source    string        `json:"source,omitempty"`    // the source artifact, repository@digest, of a chain that starts at source
	Digest    string        `json:"digest,omitempty"`    // of the image, or of the source artifact
	URL       string        `json:"url,omitempty"`       // where the app answers, if the chain makes an ingress
	Started   time.Time     `json:"started"`             // UTC
	Seconds   float64       `json:"seconds"`             // of the whole run
	Status    Status        `json:"status"`
	Error     string        `json:"error,omitempty"` // with the compiler's output or the program's last lines
	Stages    []StageReport `json:"stages"`          // in the order in which they began

	pod destination // where ports can be forwarded to
}

// StageReport tells how one step of a run went: build, push and apply, each resource of the supply chain, and pod.
type StageReport struct {
	Name    string  `json:"name"`
	Title   string  `json:"title"`
	Status  Status  `json:"status"`
	Seconds float64 `json:"seconds"` // for the chain's stages, since the workload was applied
	Detail  string  `json:"detail,omitempty"`
}

func jsonName(file string) string { return strings.TrimSuffix(file, filepath.Ext(file)) + ".json" }

// xmlName is file itself, unless that is the name of the JSON.
func xmlName(file string) string {
	if filepath.Ext(file) == ".json" {
		return strings.TrimSuffix(file, ".json") + ".xml"
	}
	return file
}

// Reports tell how the last runs of several apps went, in the order in which the apps were named. It is what --report
// writes, as JSON, where `dev` has more than one app; where it has one, that is the app's Report.
type Reports struct {
	Status Status   `json:"status"` // failed when one of them failed
	Apps   []Report `json:"apps"`
}

// writeReports puts both forms in place, making the folder if it is missing. There must be a report.
func writeReports(file string, reports []Report) error {
	var (
		forJSON any = reports[0]
		forXML  any = reports[0].junit()
	)
	if len(reports) > 1 {
		forJSON, forXML = together(reports)
	}
	plain, err := json.MarshalIndent(forJSON, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	junit, err := xml.MarshalIndent(forXML, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	contents := map[string][]byte{jsonName(file): append(plain, '\n'), xmlName(file): append([]byte(xml.Header), append(junit, '\n')...)}
	for name, content := range contents {
		if err := os.WriteFile(name, content, 0o644); err != nil {
			return fmt.Errorf("writing the report: %w", err)
		}
	}
	return nil
}

// together makes one report of several.
func together(reports []Report) (Reports, junitSuites) {
	all, suites := Reports{Status: Passed, Apps: reports}, junitSuites{Name: "slipway dev"}
	for _, r := range reports {
		if r.Status == Failed || (r.Status == Superseded && all.Status == Passed) {
			all.Status = r.Status
		}
		suite := r.junit()
		suites.Suites = append(suites.Suites, suite)
		suites.Tests += suite.Tests
		suites.Failures += suite.Failures
		suites.Skipped += suite.Skipped
		suites.Time = max(suites.Time, suite.Time)
	}
	return all, suites
}

// The JUnit format, as far as CI systems read it.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Skipped  int          `xml:"skipped,attr"`
		Time     float64      `xml:"time,attr"` // of the longest: they run side by side
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		XMLName  xml.Name    `xml:"testsuite"`
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Time     float64     `xml:"time,attr"`
		Stamp    string      `xml:"timestamp,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Time    float64       `xml:"time,attr"`
		Failure *junitFailure `xml:"failure,omitempty"`
		Skipped *struct{}     `xml:"skipped,omitempty"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

func (r Report) junit() junitSuite {
	workload := strings.Trim(r.Namespace+"/"+r.Workload, "/")
	suite := junitSuite{Name: strings.TrimSpace("slipway dev " + workload), Tests: len(r.Stages), Time: r.Seconds, Stamp: r.Started.Format("2006-01-02T15:04:05")}
	for _, stage := range r.Stages {
		one := junitCase{Class: workload, Name: stage.Name, Time: stage.Seconds}
		switch stage.Status {
		case Failed:
			first, _, _ := strings.Cut(stage.Detail, "\n")
			one.Failure = &junitFailure{Message: strings.TrimSuffix(first, logFollows), Text: stage.Detail}
			suite.Failures++
		case Skipped, Superseded:
			one.Skipped = &struct{}{}
			suite.Skipped++
		case Passed:
		}
		suite.Cases = append(suite.Cases, one)
	}
	return suite
}
