package template

import (
	"fmt"
	"strings"
	"testing"
)

func TestExpressions(t *testing.T) {
	for text, want := range map[string]string{
		"plain":                      "[] false",
		"$(a.b)$":                    "[a.b] false",
		"x $(a)$ and $(b)$":          "[a b] false",
		"$(a) $(b)$":                 "[a) $(b] false",
		"$(a":                        "[] true",
		"$(a)$ $(b":                  "[a] true",
		"$()$":                       "[] false",
		")$ $(":                      "[] true",
		"$)$":                        "[] false",
		"$(a[?(@.b==\"c\")].d)$ end": `[a[?(@.b=="c")].d] false`,
	} {
		paths, open := Expressions(text)
		if got := fmt.Sprintf("%v %t", paths, open); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestLeadingFields(t *testing.T) {
	for path, want := range map[string]string{
		"workload.spec.image":               "[workload spec image] true",
		".status.conditions[0].type":        "[status conditions] false",
		`{.params['a-b/c']}`:                "[params a-b/c] true",
		`labels.carto\.run/workload-name`:   "[labels carto.run/workload-name] true",
		`spec.params[?(@.name=="x")].value`: "[spec params] false",
		"a..b":                              "[a] false",
		"a[":                                "[] false",
		"":                                  "[] false",
	} {
		fields, whole := LeadingFields(path)
		if got := fmt.Sprintf("%v %t", fields, whole); got != want {
			t.Errorf("%q: %s, want %s", path, got, want)
		}
	}
}

func TestCheckYtt(t *testing.T) {
	for text, want := range map[string]string{
		"a: 1": "",
		"#@ load('@ytt:data', 'data')\n---\na: #@ data.values.x": "",
		"a: #@ 1 +":         "got ')', want primary expression",
		"a: [":              "did not find expected node content",
		"#@ if True:\na: 1": "mismatched",
	} {
		err := CheckYtt(text)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
}
