package collect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"

	"slipway.dev/slipway/registry/contents"
)

// silent are the resources that never are a reason to keep an image. A node names all images that it has, and an event
// those of the past; a secret is nobody's business here; the others are many, or large, and name none.
var silent = map[schema.GroupResource]bool{
	{Resource: "nodes"}: true, {Resource: "events"}: true, {Group: "events.k8s.io", Resource: "events"}: true, {Resource: "secrets"}: true,
	{Resource: "endpoints"}: true, {Group: "discovery.k8s.io", Resource: "endpointslices"}: true, {Group: "coordination.k8s.io", Resource: "leases"}: true,
	{Resource: "componentstatuses"}: true, {Group: "apiextensions.k8s.io", Resource: "customresourcedefinitions"}: true,
	{Group: "apiregistration.k8s.io", Resource: "apiservices"}: true,
}

// InUse returns what anything in the cluster names: every digest, and every image of a registry that has one of the hosts.
// What kinds there are is asked of the cluster, and the objects' whole text is looked at, so that the objects of any
// template count. An error means that something was not seen, and nothing may be removed.
func InUse(ctx context.Context, config *rest.Config, hosts ...string) (contents.Keep, error) {
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return contents.Keep{}, fmt.Errorf("preparing the connection to the cluster: %w", err)
	}
	lists, err := client.ServerPreferredResourcesWithContext(ctx)
	if err != nil {
		return contents.Keep{}, fmt.Errorf("asking the cluster for its kinds: %w", err)
	}
	found := newMentions(hosts)
	for _, list := range lists {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return contents.Keep{}, fmt.Errorf("reading the kinds of %s: %w", list.GroupVersion, err)
		}
		for _, resource := range list.APIResources {
			if !slices.Contains(resource.Verbs, "list") || silent[schema.GroupResource{Group: version.Group, Resource: resource.Name}] {
				continue
			}
			if err := found.list(ctx, client.RESTClient(), version, resource.Name); err != nil {
				return contents.Keep{}, err
			}
		}
	}
	return found.keep(), nil
}

// mentions collects what is named.
type mentions struct {
	digests, references map[string]bool
	reference           *regexp.Regexp
}

// digestPattern is how a digest is written, wherever it is.
var digestPattern = regexp.MustCompile(`sha256:[0-9a-f]{64}`)

func newMentions(hosts []string) *mentions {
	quoted := make([]string, 0, len(hosts))
	for _, host := range hosts {
		quoted = append(quoted, regexp.QuoteMeta(host))
	}
	return &mentions{
		digests: map[string]bool{}, references: map[string]bool{},
		// Names and tags as distribution's reference grammar has them; the digest is found by itself.
		reference: regexp.MustCompile(`(?:` + strings.Join(quoted, "|") + `)/((?:[a-z0-9]+[._/-]*)+)(:[\w][\w.-]{0,127})?`),
	}
}

// pageSize bounds how much of a list is in memory: some 5 MB of workloads.
const pageSize = "500"

// list looks at all objects of a resource.
func (m *mentions) list(ctx context.Context, client rest.Interface, version schema.GroupVersion, resource string) error {
	from := path.Join("/apis", version.Group, version.Version, resource)
	if version.Group == "" {
		from = path.Join("/api", version.Version, resource)
	}
	for next := ""; ; {
		text, err := client.Get().AbsPath(from).Param("limit", pageSize).Param("continue", next).SetHeader("Accept", "application/json").DoRaw(ctx)
		switch {
		case apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err):
			return nil // the kind went away meanwhile, or cannot be listed as such
		case apierrors.IsResourceExpired(err) && next != "":
			next = "" // the list took too long: from the beginning
			continue
		case err != nil:
			return fmt.Errorf("listing %s: %w", schema.GroupResource{Group: version.Group, Resource: resource}, err)
		}
		m.read(text)
		var page struct {
			Metadata metav1.ListMeta `json:"metadata"`
		}
		if err := json.Unmarshal(text, &page); err != nil {
			return fmt.Errorf("listing %s: %w", resource, errors.Join(errors.New("the answer is no list"), err))
		}
		if next = page.Metadata.Continue; next == "" {
			return nil
		}
	}
}

// read notes what a text names.
func (m *mentions) read(text []byte) {
	for _, digest := range digestPattern.FindAll(text, -1) {
		m.digests[string(digest)] = true
	}
	for _, match := range m.reference.FindAllSubmatch(text, -1) {
		repository, tag := strings.TrimRight(string(match[1]), "._/-"), string(match[2])
		if tag == "" {
			tag = ":latest"
		}
		m.references[repository+tag] = true
	}
}

func (m *mentions) keep() contents.Keep {
	return contents.Keep{
		Digests: slices.AppendSeq([]string{}, maps.Keys(m.digests)), References: slices.AppendSeq([]string{}, maps.Keys(m.references)),
	}
}
