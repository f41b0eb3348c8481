package template

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"

	"sigs.k8s.io/yaml"

	"carvel.dev/ytt/pkg/orderedmap"
	uierrors "github.com/cppforlife/go-cli-ui/errors"
)

const (
	// yttLimit is how long a render may take.
	yttLimit = 4 * time.Second
	// mostRunaways is how many renders may go on in the background after their time is up.
	mostRunaways = 4
	// mostCompiled is how many compiled templates are kept.
	mostCompiled = 256
	// yttFile is what error messages call the template.
	yttFile = "stdin.yml"
)

// yttSlot is held by whoever compiles or renders with ytt. It is one for the process, since ytt's compiler writes
// package variables.
var yttSlot = make(chan struct{}, 1)

// yttEngine renders ytt templates in this process, one at a time.
//
// The interpreter cannot be stopped from outside. A render whose time is up is left behind: its template is refused
// until it ends, and with too many of them every template is.
type yttEngine struct {
	limit time.Duration

	mu       sync.Mutex
	runaways map[string]bool
	compiled map[string]*yttTemplate
}

func newYttEngine(limit time.Duration) *yttEngine {
	return &yttEngine{limit: limit, runaways: map[string]bool{}, compiled: map[string]*yttTemplate{}}
}

// rendered is what a render ends with.
type rendered struct {
	documents []byte
	err       error
}

// render renders text and returns the documents that are not empty, as YAML. Errors of the template have ytt's own form.
func (e *yttEngine) render(ctx context.Context, text string, data map[string]any) ([]byte, error) {
	values, err := yttValues(data)
	if err != nil {
		return nil, err
	}
	select {
	case yttSlot <- struct{}{}:
		defer func() { <-yttSlot }()
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for another ytt template: %w", context.Cause(ctx))
	}
	if err := e.refuse(text); err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, e.limit)
	defer cancel()
	done := make(chan rendered, 1)
	go func() {
		documents, err := e.run(text, values)
		e.end(text, done, rendered{documents, err})
	}()
	select {
	case result := <-done:
		return result.documents, result.err
	case <-limited.Done():
		if e.leave(text, done) {
			result := <-done // it ended at the last moment
			return result.documents, result.err
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fmt.Errorf("it takes longer than %s", e.limit)
	}
}

// refuse says why a template is not to be rendered now.
func (e *yttEngine) refuse(text string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.runaways[text]:
		return fmt.Errorf("it took longer than %s before, and still goes on", e.limit)
	case len(e.runaways) >= mostRunaways:
		return fmt.Errorf("%d other ytt templates that took longer than %s still go on", len(e.runaways), e.limit)
	default:
		return nil
	}
}

// leave leaves a render behind; what it compiled is its own from now on. It says whether the render is done after all.
func (e *yttEngine) leave(text string, done chan rendered) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(done) > 0 {
		return true
	}
	e.runaways[text] = true
	delete(e.compiled, text)
	return false
}

// end hands over the result; a render that was left behind is one no more.
func (e *yttEngine) end(text string, done chan rendered, result rendered) {
	e.mu.Lock()
	defer e.mu.Unlock()
	done <- result
	delete(e.runaways, text)
}

// run renders text; a panic in the library is an error of the template.
func (e *yttEngine) run(text string, values *orderedmap.Map) (documents []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			//lint:ignore ST1005 this is ytt's own form
			documents, err = nil, fmt.Errorf("ytt: Error: %v\n", r)
		}
	}()
	template, err := e.compile(text)
	if err == nil {
		documents, err = template.render(values, e.started)
	}
	if err != nil {
		return nil, yttError(err)
	}
	return documents, nil
}

// yttError tells an error as the ytt command does. The library counts what it compiles and shows the count; in the
// command it is always 2.
func yttError(err error) error {
	text := uierrors.NewMultiLineError(err).Error()
	return errors.New("ytt: Error: " + compilation.ReplaceAllString(text, "__ytt_tpl2_") + "\n")
}

var compilation = regexp.MustCompile(`__ytt_tpl\d+_`)

// started orders a program, once it runs, before what is compiled after it: ytt's compiler writes package variables
// that programs read when they start.
func (e *yttEngine) started() {
	e.mu.Lock()
	defer e.mu.Unlock()
}

// compile returns the compiled template from the cache, or compiles it.
func (e *yttEngine) compile(text string) (*yttTemplate, error) {
	e.mu.Lock()
	found := e.compiled[text]
	e.mu.Unlock()
	if found != nil {
		return found, nil
	}
	template, err := compileYtt(text)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.compiled) >= mostCompiled {
		for old := range e.compiled {
			delete(e.compiled, old)
			break // any will do: chains have fewer templates than this
		}
	}
	e.compiled[text] = template
	return template, nil
}

// firstObject reads the first document, the only one of a template that counts.
func firstObject(documents []byte, err error) (map[string]any, error) {
	if err != nil {
		return nil, err
	}
	encoded, err := yaml.YAMLToJSON(documents)
	if err != nil {
		return nil, fmt.Errorf("reading what it renders: %w", err)
	}
	value, err := decode(encoded)
	if err != nil {
		return nil, fmt.Errorf("reading what it renders: %w", err)
	}
	switch value := value.(type) {
	case map[string]any:
		return value, nil
	case nil:
		return nil, errors.New("it renders nothing")
	default:
		return nil, fmt.Errorf("it renders no object: %v", value)
	}
}
