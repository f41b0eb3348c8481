// Package templatetest runs the tests of templates: folders that say which template, workload and inputs are given and
// which object must come of them, in the layout of Cartographer's cartotest. It needs no cluster, and writes nothing;
// how results are shown is up to its caller.
package templatetest
