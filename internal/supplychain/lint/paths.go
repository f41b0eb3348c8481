package lint

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/supplychain/template"
)

// The names that templates know.
var (
	stampNames = []string{"workload", "deliverable", "params", "sources", "images", "configs", "source", "image", "config", "deployment", "labels"}
	runNames   = []string{"runnable", "selected"}
)

// parts are the fields of an input.
var parts = map[string][]string{
	"source": {"url", "revision", "name"}, "sources": {"url", "revision", "name"}, "deployment": {"url", "revision", "name"},
	"images": {"image", "name"}, "configs": {"config", "name"},
}

// checkExpression returns why a path of a template can never lead anywhere.
func checkExpression(path string, names []string, owners map[string][]any) error {
	if err := template.CheckPath(path); err != nil {
		return err
	}
	fields, _ := template.LeadingFields(path)
	if len(fields) == 0 {
		return nil // such as a wildcard: whatever that may be for
	}
	first, rest := fields[0], fields[1:]
	if !slices.Contains(names, first) {
		return fmt.Errorf("there is no [%s]: a template knows %s", first, strings.Join(names, ", "))
	}
	if types := owners[first]; len(types) > 0 {
		return existsInAny(types, rest)
	}
	known, found := parts[first]
	if found && strings.HasSuffix(first, "s") {
		rest = rest[min(1, len(rest)):] // the input's name
	}
	if found && len(rest) > 0 && !slices.Contains(known, rest[0]) {
		return fmt.Errorf("[%s] has no field [%s]: it has %s", strings.Join(fields[:len(fields)-len(rest)], "."), rest[0], strings.Join(known, ", "))
	}
	return nil
}

// existsInAny returns an error where fields lead nowhere in all of the types.
func existsInAny(types []any, fields []string) error {
	var first error
	for _, of := range types {
		err := exists(reflect.TypeOf(of), reflect.TypeOf(of).Name(), fields)
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// opaque are types that hold any JSON, or that are texts or numbers in JSON: paths end at them.
func opaque(of reflect.Type) bool {
	switch of {
	case reflect.TypeFor[apiextensionsv1.JSON](), reflect.TypeFor[runtime.RawExtension]():
		return true
	}
	pkg := of.PkgPath()
	return strings.HasSuffix(pkg, "/api/resource") || (strings.HasSuffix(pkg, "/meta/v1") && (of.Name() == "Time" || of.Name() == "MicroTime"))
}

// exists follows fields, as templates do, through the types of an owner.
func exists(of reflect.Type, at string, fields []string) error {
	for of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	if len(fields) == 0 {
		return nil
	}
	switch {
	case opaque(of):
		return fmt.Errorf("nothing below [%s] can be read by a path", at)
	case of.Kind() == reflect.Map:
		return exists(of.Elem(), at+"."+fields[0], fields[1:])
	case of.Kind() == reflect.Slice:
		return fmt.Errorf("[%s] is a list, which has no field [%s]", at, fields[0])
	case of.Kind() != reflect.Struct:
		return fmt.Errorf("[%s] has no fields, and so no [%s]", at, fields[0])
	}
	field, found := fieldOf(of, fields[0])
	if !found {
		return fmt.Errorf("[%s] has no field [%s]", at, fields[0])
	}
	return exists(field, at+"."+fields[0], fields[1:])
}

// fieldOf finds a field of a struct by its name in JSON.
func fieldOf(of reflect.Type, name string) (reflect.Type, bool) {
	for i := range of.NumField() {
		field := of.Field(i)
		tag, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if tag == name && name != "-" {
			return field.Type, true
		}
		if tag == "" && field.Anonymous {
			embedded := field.Type
			for embedded.Kind() == reflect.Pointer {
				embedded = embedded.Elem()
			}
			if embedded.Kind() != reflect.Struct {
				continue
			}
			if found, ok := fieldOf(embedded, name); ok {
				return found, true
			}
		}
	}
	return nil, false
}

// ownersOf are the types behind the names of the owner. A template knows the owner by either name, whatever it is.
func ownersOf(kind string) map[string][]any {
	switch kind {
	case v1alpha1.KindClusterRunTemplate:
		return map[string][]any{"runnable": {v1alpha1.Runnable{}}}
	case v1alpha1.KindClusterImageTemplate: // supply chains alone use it
		return map[string][]any{"workload": {v1alpha1.Workload{}}, "deliverable": {v1alpha1.Workload{}}}
	case v1alpha1.KindClusterDeploymentTemplate: // deliveries alone
		return map[string][]any{"workload": {v1alpha1.Deliverable{}}, "deliverable": {v1alpha1.Deliverable{}}}
	default:
		both := []any{v1alpha1.Workload{}, v1alpha1.Deliverable{}}
		return map[string][]any{"workload": both, "deliverable": both}
	}
}
