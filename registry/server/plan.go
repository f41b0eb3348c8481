package server

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"slipway.dev/slipway/registry/contents"
)

// newestTags is how many tagged images of a repository stay, whatever the budget: what a user named is wanted, such as
// the base of a Dockerfile, and yet a tag for each commit must not fill the disk.
const newestTags = 3

// plan is what a sweep removes. It is made without I/O.
type plan struct {
	images []*heldImage // in the order in which they are removed: what names another before that
	blobs  []string
	freed  int64
	used   int64 // afterwards
}

// planner makes a plan.
type planner struct {
	holding *holding
	young   func(digest string, written time.Time) bool
	budget  int64

	byDigest  map[string][]*heldImage // in all repositories: what a digest names, or is a part of
	referrers map[*heldImage][]*heldImage
	children  map[*heldImage][]*heldImage
	parents   map[*heldImage]int // how many indexes name it
	needed    map[*heldImage]bool
	gone      map[*heldImage]bool
	uses      map[string]int // how often a blob is named
	plan      plan
}

// newPlan decides what goes: blobs that nothing names, then images until the rest fits into the budget.
func newPlan(h *holding, request contents.SweepRequest, young func(string, time.Time) bool) *plan {
	p := &planner{
		holding: h, young: young, budget: request.Budget,
		byDigest: map[string][]*heldImage{}, referrers: map[*heldImage][]*heldImage{}, children: map[*heldImage][]*heldImage{},
		parents: map[*heldImage]int{}, needed: map[*heldImage]bool{}, gone: map[*heldImage]bool{}, uses: map[string]int{},
	}
	p.plan.used = h.used()
	p.relate()
	p.markNeeded(request.Keep)
	for _, digest := range slices.Sorted(maps.Keys(h.blobs)) {
		if p.uses[digest] == 0 {
			p.dropBlob(digest)
		}
	}
	for _, image := range p.candidates() {
		if p.plan.used <= p.budget {
			break
		}
		if !p.gone[image] && p.parents[image] == 0 {
			p.drop(image)
		}
	}
	return &p.plan
}

// relate finds who names whom. Indexes, referrers and what they name are in one repository.
func (p *planner) relate() {
	here := map[string]*heldImage{}
	place := func(repository, digest string) string { return repository + "@" + digest }
	for _, image := range p.holding.images {
		p.byDigest[image.Digest] = append(p.byDigest[image.Digest], image)
		here[place(image.Repository, image.Digest)] = image
		p.uses[image.Digest]++
		for _, blob := range image.manifest.blobs() {
			p.uses[blob]++
			p.byDigest[blob] = append(p.byDigest[blob], image)
		}
	}
	for _, image := range p.holding.images {
		if subject := here[place(image.Repository, image.Subject)]; subject != nil && subject != image {
			p.referrers[subject] = append(p.referrers[subject], image)
		}
		for _, digest := range image.manifest.children() {
			if child := here[place(image.Repository, digest)]; child != nil && child != image {
				p.children[image] = append(p.children[image], child)
				p.parents[child]++
			}
		}
	}
}

// markNeeded marks what must stay, with all that belongs to it.
func (p *planner) markNeeded(keep contents.Keep) {
	for _, digest := range keep.Digests {
		for _, image := range p.byDigest[digest] {
			p.need(image)
		}
	}
	wanted := map[string]bool{}
	for _, reference := range keep.References {
		if !strings.Contains(reference, ":") {
			reference += ":latest"
		}
		wanted[reference] = true
	}
	tagged := map[string]int{}
	for _, image := range p.holding.images { // the newest of a repository first
		stays := strings.HasPrefix(image.Repository, contents.MirrorPrefix) || p.young(image.Digest, image.Pushed)
		for _, tag := range image.Tags {
			stays = stays || wanted[image.Repository+":"+tag]
		}
		if len(image.Tags) > 0 {
			tagged[image.Repository]++
			stays = stays || tagged[image.Repository] <= newestTags
		}
		if stays {
			p.need(image)
		}
	}
}

func (p *planner) need(image *heldImage) {
	if p.needed[image] {
		return
	}
	p.needed[image] = true
	for _, other := range slices.Concat(p.children[image], p.referrers[image]) {
		p.need(other)
	}
	for _, subject := range p.byDigest[image.Subject] {
		if subject.Repository == image.Repository && subject.Digest == image.Subject {
			p.need(subject)
		}
	}
}

// candidates are the images that may go, in the order in which they do: those without a tag first, and the oldest first.
func (p *planner) candidates() []*heldImage {
	var found []*heldImage
	for _, image := range p.holding.images {
		if !p.needed[image] {
			found = append(found, image)
		}
	}
	slices.SortStableFunc(found, func(a, b *heldImage) int {
		return cmp.Or(cmp.Compare(min(len(a.Tags), 1), min(len(b.Tags), 1)), a.Pushed.Compare(b.Pushed))
	})
	return found
}

// drop removes an image, what tells of it, and the children that nobody else names.
func (p *planner) drop(image *heldImage) {
	if p.gone[image] || p.needed[image] {
		return
	}
	p.gone[image] = true
	p.plan.images = append(p.plan.images, image)
	for _, referrer := range p.referrers[image] {
		p.drop(referrer)
	}
	for _, child := range p.children[image] {
		p.parents[child]--
		if p.parents[child] == 0 && len(child.Tags) == 0 {
			p.drop(child)
		}
	}
	for _, blob := range append(image.manifest.blobs(), image.Digest) {
		p.uses[blob]--
		if p.uses[blob] == 0 {
			p.dropBlob(blob)
		}
	}
}

// dropBlob removes a blob that nothing names any more, unless a push may be about to name it.
func (p *planner) dropBlob(digest string) {
	blob, there := p.holding.blobs[digest]
	if !there || p.young(digest, blob.written) {
		return
	}
	p.plan.blobs = append(p.plan.blobs, digest)
	p.plan.freed += blob.size
	p.plan.used -= blob.size
}
