// Package repolint holds the house rules as tests: who may import whom, how packages are documented, how big files
// get, and what only main packages may do. It has no code of its own, and uses the standard library only. When a test
// here fails, its message says which rule it is; docs/architecture.md, section 2, says why there is one.
package repolint
