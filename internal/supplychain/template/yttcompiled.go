package template

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"carvel.dev/ytt/pkg/cmd/template"
	"carvel.dev/ytt/pkg/cmd/ui"
	"carvel.dev/ytt/pkg/files"
	"carvel.dev/ytt/pkg/orderedmap"
	ytt "carvel.dev/ytt/pkg/template"
	"carvel.dev/ytt/pkg/yamlmeta"
	"carvel.dev/ytt/pkg/yamltemplate"
	"carvel.dev/ytt/pkg/yttlibrary"
	_ "carvel.dev/ytt/pkg/yttlibraryext" // the module toml, which the ytt command has
	"github.com/k14s/starlark-go/starlark"
)

// yttTemplate is a template that is compiled, if it can be rendered from that; else its text. It must not be
// rendered twice at a time.
type yttTemplate struct {
	text     string
	compiled *ytt.CompiledTemplate // nil : the whole of ytt's command is needed
}

// wholeCommand are the features of ytt that are not of a template alone: values, schemas and overlays beside it,
// libraries, and the files it was given.
var (
	wholeCommand = regexp.MustCompile(`@(overlay|data|library|schema|assert)/|data\.(list|read)|@ytt:library`)
	loads        = regexp.MustCompile(`load\s*\(\s*["']([^"']*)`)
)

// compileYtt compiles a template. The result is the same as the command's, which parses it thrice for each render.
func compileYtt(text string) (*yttTemplate, error) {
	whole := &yttTemplate{text: text}
	elsewhere := func(load []string) bool { return !strings.HasPrefix(load[1], "@ytt:") }
	if wholeCommand.MatchString(text) || slices.ContainsFunc(loads.FindAllStringSubmatch(text, -1), elsewhere) {
		return whole, nil
	}
	documents, err := yamlmeta.NewDocumentSetFromBytes([]byte(text), yamlmeta.DocSetOpts{AssociatedName: yttFile})
	if err != nil || !yamltemplate.HasTemplating(documents) {
		return whole, nil // it has the words for what is wrong
	}
	compiled, err := yamltemplate.NewTemplate(yttFile, yamltemplate.TemplateOpts{}).Compile(documents)
	if err != nil {
		//lint:ignore ST1005 these are ytt's own words
		return nil, fmt.Errorf("Compiling YAML template '%s': %w", yttFile, err)
	}
	return &yttTemplate{text: text, compiled: compiled}, nil
}

// render returns the documents that are not empty, as YAML. It calls started whenever the program loads a module.
func (t *yttTemplate) render(values *orderedmap.Map, started func()) ([]byte, error) {
	if t.compiled == nil {
		return t.renderWhole(values)
	}
	modules := yttlibrary.NewAPI(t.compiled.TplReplaceNode,
		yttlibrary.NewDataModule(&yamlmeta.Document{Value: yamlmeta.NewASTFromInterface(values)}, noFiles{}), starlark.StringDict{}, silent{})
	loader := yttLoader{template: t.compiled, modules: modules, started: started}
	thread := &starlark.Thread{Name: "template=" + yttFile, Load: loader.Load, Print: func(*starlark.Thread, string) {}}
	_, result, err := t.compiled.Eval(thread, loader)
	if err != nil {
		return nil, err
	}
	documents, ok := result.(*yamlmeta.DocumentSet)
	if !ok {
		return nil, fmt.Errorf("the template renders %T", result)
	}
	return printed(documents)
}

// renderWhole does what `ytt -f - --data-value-yaml KEY=JSON...` does.
func (t *yttTemplate) renderWhole(values *orderedmap.Map) ([]byte, error) {
	file, err := files.NewFileFromSource(files.NewBytesSource(yttFile, []byte(t.text)))
	if err != nil {
		return nil, err
	}
	options := template.NewOptions()
	err = values.IterateErr(func(key, value any) error {
		encoded, err := orderedJSON(value)
		options.DataValuesFlags.KVsFromYAML = append(options.DataValuesFlags.KVsFromYAML, fmt.Sprintf("%s=%s", key, encoded))
		return err
	})
	if err != nil {
		return nil, err
	}
	out := options.RunWithFiles(template.Input{Files: []*files.File{file}}, silent{})
	if out.Err != nil {
		return nil, out.Err
	}
	return printed(out.DocSet)
}

// printed returns the documents that are not empty; nothing where there are none.
func printed(documents *yamlmeta.DocumentSet) ([]byte, error) {
	kept := slices.DeleteFunc(slices.Clone(documents.Items), func(document *yamlmeta.Document) bool { return document.IsEmpty() })
	if len(kept) == 0 {
		return nil, nil
	}
	return (&yamlmeta.DocumentSet{Items: kept}).AsBytes()
}

// yttLoader gives a template the modules of ytt.
type yttLoader struct {
	template *ytt.CompiledTemplate
	modules  yttlibrary.API
	started  func()
}

func (l yttLoader) FindCompiledTemplate(string) *ytt.CompiledTemplate { return l.template }

func (l yttLoader) Load(_ *starlark.Thread, module string) (starlark.StringDict, error) {
	l.started()
	name, found := strings.CutPrefix(module, "@ytt:")
	if !found {
		return nil, fmt.Errorf("%s is not a module of ytt", module)
	}
	return l.modules.FindModule(name)
}

// noFiles is what a template that stands alone can read.
type noFiles struct{}

func (noFiles) FilePaths(string) ([]string, error) { return nil, nil }
func (noFiles) FileData(string) ([]byte, error)    { return nil, errors.New("there are no files") }

// silent is ytt's terminal.
type silent struct{}

var _ ui.UI = silent{}

func (silent) Printf(string, ...any)  {}
func (silent) Debugf(string, ...any)  {}
func (silent) Warnf(string, ...any)   {}
func (silent) DebugWriter() io.Writer { return io.Discard }
