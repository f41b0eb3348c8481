// Package realize turns a workload and its supply chain, or a deliverable and its delivery, into objects and a status:
// it orders the resources, renders their templates, reads outputs and health from the objects, and says how far
// everything is. It reaches the cluster only through Cluster and takes the time as an argument, so the same code serves
// a controller and a dry run.
package realize
