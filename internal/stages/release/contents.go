package release

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/slipway/v1alpha1"
)

// maxKept is how many bytes of manifests are kept decoded, of all Releases: the largest one and half of another. Decoded
// they take some fifteen times as much memory.
const maxKept = 12 << 20

// contents are the manifests of the Releases, so that waiting does not fetch them again and again. Of those that were not
// looked at for the longest, the manifests go when all are too large; when they were applied stays known.
type contents struct {
	mu   sync.Mutex
	most int64 // how many bytes are kept; 0 means maxKept
	kept int64
	uses int64
	of   map[types.NamespacedName]*kept

	decoding sync.Mutex
}

type kept struct {
	content
	uid  types.UID
	used int64
}

// read decodes the manifests of one Release at a time, which bounds the memory that it takes.
func (c *contents) read(dir, folder string) ([]*unstructured.Unstructured, int64, error) {
	c.decoding.Lock()
	defer c.decoding.Unlock()
	return read(dir, folder)
}

// get returns what is known of the content with a digest; its objects are nil when they are to be loaded again.
func (c *contents) get(release *v1alpha1.Release, digest string) content {
	c.mu.Lock()
	defer c.mu.Unlock()
	found, known := c.of[client.ObjectKeyFromObject(release)]
	if !known || found.uid != release.UID || found.digest != digest {
		return content{digest: digest}
	}
	c.uses++
	found.used = c.uses
	return found.content
}

func (c *contents) put(release *v1alpha1.Release, made content) {
	c.mu.Lock()
	defer c.mu.Unlock()
	name := client.ObjectKeyFromObject(release)
	c.remove(name)
	if c.of == nil {
		c.of = map[types.NamespacedName]*kept{}
	}
	if c.most == 0 {
		c.most = maxKept
	}
	c.uses++
	fresh := &kept{content: made, uid: release.UID, used: c.uses}
	c.of[name] = fresh
	c.kept += made.size
	for c.kept > c.most {
		oldest := fresh
		for _, one := range c.of {
			if one.objects != nil && one.used < oldest.used {
				oldest = one
			}
		}
		c.kept -= oldest.size
		oldest.objects, oldest.size = nil, 0
		if oldest == fresh {
			return
		}
	}
}

// unapplied notes that what a Release names is to be applied from the start, since that has failed.
func (c *contents) unapplied(release *v1alpha1.Release) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if found, known := c.of[client.ObjectKeyFromObject(release)]; known {
		found.generation, found.appliedAt, found.next, found.passed = 0, time.Time{}, 0, nil
	}
}

func (c *contents) drop(name types.NamespacedName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(name)
}

func (c *contents) remove(name types.NamespacedName) {
	if found, known := c.of[name]; known {
		c.kept -= found.size
		delete(c.of, name)
	}
}
