// Package supervise is the fast lane's end in a pod: it runs an app's program as its child, takes new files or a new
// program over an authenticated connection, and starts the child anew, so that neither the pod nor the container has to.
// It also puts itself into the pod. It does not know what an image, a chain or a rule is. It is as small as it can be,
// since every pod of a synced app waits for it: it uses the standard library alone, and no HTTP.
package supervise
