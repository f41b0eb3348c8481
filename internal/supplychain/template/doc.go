// Package template renders the templates of supply chains: it reads JSON paths from objects, fills $(...)$ in a
// template, and decides which value a parameter has. It knows nothing of clusters; what happens to a rendered object
// is the business of realize.
package template
