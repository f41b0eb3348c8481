package direct

import (
	"bytes"
	"fmt"
	"go/parser"
	"go/token"
)

// headOf is the part of a Go file in which the go command finds what it needs: build constraints, directives, the package's
// name and the imports, up to the end of the line. What is below is the compiler's business, but for what is embedded.
func headOf(content []byte) (string, error) {
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, "", content, parser.ImportsOnly)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrUnfit, err)
	}
	end := parsed.Name.End()
	for _, declared := range parsed.Decls {
		end = max(end, declared.End())
	}
	offset := files.File(parsed.Package).Offset(end)
	if newline := bytes.IndexByte(content[offset:], '\n'); newline >= 0 {
		offset += newline
	} else {
		offset = len(content)
	}
	return string(content[:offset]), nil
}

// compiledHeadOf is that of a file that is compiled, with the lines that may embed something.
func compiledHeadOf(content []byte) (string, error) {
	head, err := headOf(content)
	if err != nil {
		return "", err
	}
	for line := range bytes.Lines(content[len(head):]) {
		if bytes.Contains(line, []byte("//go:embed")) {
			head += string(line)
		}
	}
	return head, nil
}
