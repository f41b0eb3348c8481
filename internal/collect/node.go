package collect

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"slipway.dev/slipway/registry/contents"
)

// nodeImage is an image that the node's containerd has of the environment's registry, under all its names.
type nodeImage struct {
	digest string
	names  []string
	size   int64
	used   bool // a container was made from it
}

// ctr runs containerd's own client on the node: crictl is not in every node image.
func ctr(ctx context.Context, o Options, arguments ...string) (string, error) {
	return o.Engine.Exec(ctx, o.Name.Node(), append([]string{"ctr", "--namespace=k8s.io"}, arguments...)...)
}

// nodeImages returns the images of the environment's registry. Others stay on the node: they came with it or from
// somewhere that may be out of reach, and would not come back.
func nodeImages(ctx context.Context, o Options) ([]nodeImage, error) {
	images, err := ctr(ctx, o, "images", "list")
	if err != nil {
		return nil, fmt.Errorf("listing the node's images: %w", err)
	}
	containers, err := ctr(ctx, o, "containers", "list")
	if err != nil {
		return nil, fmt.Errorf("listing the node's containers: %w", err)
	}
	return parseNode(images, containers, o.Registry, o.Name.RegistryInCluster())
}

// imageLine is a line of `ctr images list`: name, media type, digest and size.
var imageLine = regexp.MustCompile(`^(\S+)\s+(\S+)\s+(sha256:[0-9a-f]{64})\s+([0-9.]+)\s*((?:[KMGTP]i?)?)B\s`)

// parseNode reads what ctr printed.
func parseNode(images, containers string, hosts ...string) ([]nodeImage, error) {
	users := map[string]bool{}
	for lines := bufio.NewScanner(strings.NewReader(containers)); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) >= 2 {
			users[fields[1]] = true
		}
	}
	byDigest := map[string]*nodeImage{}
	ours := map[string]bool{}
	for line := range strings.Lines(images) {
		match := imageLine.FindStringSubmatch(line)
		if match == nil {
			if strings.HasPrefix(line, "REF") || strings.TrimSpace(line) == "" {
				continue
			}
			return nil, fmt.Errorf("the node's list of images has a line that cannot be read: %q", strings.TrimSpace(line))
		}
		name, digest := match[1], match[3]
		image := byDigest[digest]
		if image == nil {
			image = &nodeImage{digest: digest, size: parseSize(match[4], match[5])}
			byDigest[digest] = image
		}
		image.names = append(image.names, name)
		image.used = image.used || users[name]
		for _, host := range hosts {
			ours[digest] = ours[digest] || strings.HasPrefix(name, host+"/")
		}
	}
	var found []nodeImage
	for digest, image := range byDigest {
		if ours[digest] && !slices.ContainsFunc(image.names, func(name string) bool { return !isOurs(name, hosts) }) {
			found = append(found, *image)
		}
	}
	slices.SortFunc(found, func(a, b nodeImage) int { return cmp.Compare(a.digest, b.digest) })
	return found, nil
}

// isOurs says whether a name is of the environment's registry, or one that containerd's CRI gives by itself.
func isOurs(name string, hosts []string) bool {
	return strings.HasPrefix(name, "sha256:") || slices.ContainsFunc(hosts, func(host string) bool { return strings.HasPrefix(name, host+"/") })
}

// parseSize reads the number and the unit that ctr prints; the pattern has let through nothing else.
func parseSize(number, unit string) int64 {
	value, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0
	}
	base := 1000.0
	if strings.HasSuffix(unit, "i") {
		base = 1024
	}
	power := 0
	if unit != "" {
		power = strings.IndexByte("KMGTP", unit[0]) + 1
	}
	return int64(value * math.Pow(base, float64(power)))
}

func sizeOf(images []nodeImage) int64 {
	var size int64
	for _, image := range images {
		size += image.size
	}
	return size
}

// collectNode removes images that nothing names and no container was made from, the oldest first, until the rest fits. A
// kubelet that wants one of them at this very moment pulls it again.
func collectNode(ctx context.Context, o Options, images []nodeImage, keep contents.Keep, listing *contents.Listing) (Place, error) {
	place := Place{Removed: []string{}, Used: sizeOf(images)}
	for _, image := range nodeCandidates(images, keep, listing, time.Now().Add(-o.Grace)) {
		if place.Used <= o.Budget {
			break
		}
		if !o.DryRun {
			if _, err := ctr(ctx, o, append([]string{"images", "remove"}, image.names...)...); err != nil {
				return place, fmt.Errorf("removing an image from the node: %w", err)
			}
		}
		place.Removed = append(place.Removed, image.names[0])
		place.Freed += image.size
		place.Used -= image.size
	}
	return place, nil
}

// nodeCandidates are the images that may go, the oldest first. The node does not say how old they are: the registry knows
// when they were pushed, and what it has forgotten is older than that.
func nodeCandidates(images []nodeImage, keep contents.Keep, listing *contents.Listing, horizon time.Time) []nodeImage {
	kept := map[string]bool{}
	for _, digest := range keep.Digests {
		kept[digest] = true
	}
	named := map[string]bool{}
	for _, reference := range keep.References {
		named[reference] = true
	}
	pushed := map[string]time.Time{}
	for _, image := range listing.Images {
		pushed[image.Digest] = image.Pushed
		for _, tag := range image.Tags {
			if named[image.Repository+":"+tag] {
				kept[image.Digest] = true
			}
		}
	}
	images = slices.DeleteFunc(slices.Clone(images), func(image nodeImage) bool {
		return image.used || kept[image.digest] || pushed[image.digest].After(horizon)
	})
	slices.SortStableFunc(images, func(a, b nodeImage) int { return pushed[a.digest].Compare(pushed[b.digest]) })
	return images
}
